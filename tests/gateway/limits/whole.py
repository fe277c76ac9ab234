"""A gateway with real accounts behind a real server, and limits on everything."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any, cast

from shareai_cli.config import ProviderSettings, RouteSettings, RouteTarget, Settings
from shareai_cli.gateway.app import Gateway
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.pools import pool_factory
from shareai_cli.ledger import Closed, Ledger
from shareai_cli.paths import Paths
from shareai_cli.types import Budget, Limits, LimitUse, RateLimit, Subject, Target
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.server import Server
from shareai_cli.wire.turn import Turn
from tests.support.gateway import FakeFleet, FakePrices, key_digest

SECRET = "sk-shareai-whole"
MUCH = 10**12
EVERYTHING = Limits(
    (
        RateLimit("requests", "hour", MUCH),
        RateLimit("tokens", "hour", MUCH),
        RateLimit("requests", "day", MUCH),
        RateLimit("tokens", "day", MUCH),
    ),
    (Budget("total", MUCH),),
    MUCH,
)
SUBJECTS = (
    Subject("organization"),
    Subject("team", "default"),
    Subject("key", "ci", (1,)),
    Subject("route", "chat"),
    Subject("target", "a/m"),
)
LIMITS: Mapping[Subject, Limits] = dict.fromkeys(SUBJECTS, EVERYTHING)


class Whole:
    """The gateway, its server and its accounts."""

    def __init__(self, gateway: Gateway, ledger: Ledger, port: int) -> None:
        self.gateway = gateway
        self.ledger = ledger
        self.port = port


@asynccontextmanager
async def serving(
    paths: Paths, base_url: str, limits: Mapping[Subject, Limits] = LIMITS
) -> AsyncIterator[Whole]:
    """Serve one route, `chat`, over one provider."""
    ledger = Ledger.open(paths, FakePrices)
    if not ledger.store.active_keys():
        ledger.store.create_key("ci", key_digest(SECRET))
    deadlines, turn = Deadlines(), Turn(before=ledger.flush)
    ledger.collect(turn.schedule)
    settings = Settings(
        providers={
            "a": ProviderSettings(name="a", preset=None, base_url=base_url, keys=(), price_as="priced")
        },
        routes={"chat": RouteSettings("chat", "priority", (RouteTarget(Target("a", "m")),))},
    )
    gateway = Gateway(
        settings,
        environ={},
        ledger=ledger,
        fleet=cast(Fleet, FakeFleet()),
        make_pool=pool_factory(deadlines, turn, time.monotonic),
        catalogue=lambda name: (),
        observe=_nobody_looks,
        limits=limits,
    )
    server = Server(gateway.respond, refuse=gateway.refuse, deadlines=deadlines, turn=turn)
    await server.start("127.0.0.1", 0)
    try:
        yield Whole(gateway, ledger, server.port)
    finally:
        await server.close(5.0)
        await gateway.close()
        deadlines.close()
        ledger.close()


def _nobody_looks(entry: Closed) -> None:
    pass


def sums_of_rows(paths: Paths) -> dict[str, tuple[int, int, int]]:
    """Return requests, tokens and money of each subject, added up over all rows by hand."""
    refused, hit, joined = 4, 6, 7
    asked = f"outcome NOT IN ({hit}, {joined})"
    wheres = {
        "organization": "1",
        "team/default": "team = (SELECT id FROM names WHERE name = 'default')",
        "key/ci": "key = 1",
        "route/chat": "route = (SELECT id FROM names WHERE name = 'chat')",
        "target/a/m": f"target = (SELECT id FROM targets WHERE name = 'a/m') AND {asked}",
    }
    query = (
        f"SELECT coalesce(sum(outcome != {refused}), 0), "
        "coalesce(sum(prompt + cached + cache_write + completion + reasoning), 0), "
        "coalesce(sum(cost_nano), 0) FROM requests WHERE "
    )
    with closing(sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True)) as connection:
        return {name: connection.execute(query + where).fetchone() for name, where in wheres.items()}


def counted(uses: list[LimitUse]) -> dict[str, Any]:
    """Return the same out of what limits have counted, where nothing is under way."""
    found: dict[str, dict[str, int]] = {}
    for one in uses:
        assert one.reserved == 0, one
        found.setdefault(one.subject, {})[one.limit] = one.used
    for of in found.values():
        assert of["concurrent_requests"] == 0
        assert of["requests_per_hour"] == of["requests_per_day"]
        assert of["tokens_per_hour"] == of["tokens_per_day"]
    return {
        subject: (of["requests_per_hour"], of["tokens_per_hour"], of["budget_total"])
        for subject, of in found.items()
    }

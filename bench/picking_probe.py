"""Picks targets for made-up requests, and prints the microseconds that it took: run by `bench.picking`."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from typing import Any, cast

from shareai_cli.catalog.facts import FactBook
from shareai_cli.config import ProviderSettings, RouteSettings, RouteTarget, Settings
from shareai_cli.gateway.body import decode_fields
from shareai_cli.gateway.exchange import Choice, Exchange
from shareai_cli.gateway.health import Health, Standing
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.picker import Picker, build_board
from shareai_cli.gateway.verdict import FAILED
from shareai_cli.types import Attempt, Outcome, Target, Usage
from shareai_cli.wire.message import Request

COUNTS = (10, 200, 2_000)
STRATEGIES = ("priority", "weighted", "cheapest", "fastest", "least-busy", "sticky")
MODELS = ("gpt-5-mini", "gpt-5", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "o3", "gpt-4.1-mini", "unheard-of")
PICKS = 2_000
TROUBLED = 0.1
"""The share of targets that are ejected, where some are."""


class Accounts:
    """Keeps no account of anything."""

    def begin(self, exchange: Exchange) -> None:
        """See `exchange.Accounts`."""

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """See `exchange.Accounts`."""
        exchange.settled = True


def main() -> None:
    """Measure every strategy, with and without trouble."""
    facts = FactBook()
    found = [
        {
            "count": count,
            "strategy": strategy,
            "is_troubled": troubled,
            **probe(count, strategy, troubled, facts),
        }
        for count in COUNTS
        for strategy in STRATEGIES
        for troubled in (False, True)
    ]
    print(json.dumps(found))


def probe(count: int, strategy: str, is_troubled: bool, facts: FactBook) -> dict[str, float]:
    """Return the median and the 99th percentile of picking, and of the first pick for each length."""
    chance = random.Random(count)
    providers = {
        f"p{n}": ProviderSettings(
            f"p{n}", None, "http://127.0.0.1/v1", price_as="node" if n % 50 == 7 else "openai"
        )
        for n in range(count)
    }
    targets = tuple(
        RouteTarget(Target(f"p{n}", MODELS[n % len(MODELS)]), chance.randint(1, 9)) for n in range(count)
    )
    route = RouteSettings("chat", cast(Any, strategy), targets, prefer="own", fit=True)
    measurements, health = Measurements(time.monotonic), Health(time.monotonic)
    settings = Settings(providers=providers, routes={"chat": route})
    board = build_board(route, settings, facts, measurements, time.monotonic)
    for one in targets:
        measurements.watch(one.target, board.changed)
    if is_troubled:
        _eject(health, chance.sample(targets, int(count * TROUBLED) or 1))

    def standing(target: Target) -> Standing:
        return health.standing(target, (), has_check=False)

    picker = Picker(board, measurements, health, standing, _nobody, chance.random)
    bodies = [_body(chance) for _ in range(200)]
    first = [_pick(picker, body, chance) for body in bodies]
    again = [_pick(picker, chance.choice(bodies), chance) for _ in range(PICKS)]
    return {
        "p50": _percentile(again, 0.5),
        "p99": _percentile(again, 0.99),
        "first_p99": _percentile(first, 0.99),
    }


def _pick(picker: Picker, body: bytes, chance: random.Random) -> float:
    """Pick for one request, and let its first target answer; returns the microseconds of the picking."""
    request = Request("POST", "/v1/chat/completions", "", "1.1", {}, body, "127.0.0.1")
    exchange = Exchange(request, Accounts(), 1, 0, 0.0, fields=decode_fields(body), attempts=[])
    began = time.perf_counter()
    choice = picker.pick(exchange)
    spent = (time.perf_counter() - began) * 1e6
    target = next(iter(choice.targets))
    exchange.usage = Usage(100, 0, 0, chance.randint(50, 400))
    exchange.attempts = [Attempt(target.name, "", "ok", 200, chance.randint(100_000, 5_000_000))]
    exchange.settle(Outcome.OK)
    return spent


def _body(chance: random.Random) -> bytes:
    words = "word " * int(2 ** chance.uniform(3, 10))
    message = {"role": "user", "content": f"{chance.random()} {words}"}
    return json.dumps({"model": "chat", "messages": [message], "max_tokens": 500}).encode()


def _eject(health: Health, targets: Iterable[RouteTarget]) -> None:
    for one in targets:
        for number in range(3):
            asked = health.asked(one.target)
            health.failed(one.target, "", FAILED, request=number, asked_at=asked, reason="HTTP 500")


def _nobody(route: str, targets: Iterable[Target]) -> Choice:
    return Choice(route, tuple(targets))


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


if __name__ == "__main__":
    main()

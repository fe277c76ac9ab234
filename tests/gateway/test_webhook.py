"""A receiver of a person's own is told what happens: signed, tried again, bounded; nobody waits for it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shareai_cli.config import WebhookSettings
from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.pools import pool_factory
from shareai_cli.gateway.webhook import Webhook
from shareai_cli.secrets import SecretReference
from shareai_cli.wire.client import Timeouts
from shareai_cli.wire.deadlines import Deadlines
from tests.support.behaviours import Behaviour, raw, silence, status
from tests.support.clock import FakeClock
from tests.support.signatures import verify
from tests.support.upstream import FaultUpstream, refused_port
from tests.support.waiting import turns, until

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ENVIRON = {"HOOK_SECRET": SECRET}
NOW = 1_790_000_000.0
SOON = (0.01, 0.01)
"""Waits before the second and the third try."""
TAKEN = status(204)


class Told:
    """A webhook, its clock, and what the person who watches was told."""

    def __init__(self, deadlines: Deadlines, **options: Any) -> None:
        self.clock = FakeClock(NOW)
        self.notices: list[str] = []
        options.setdefault("waits", SOON)
        make_pool = pool_factory(deadlines, None, asyncio.get_running_loop().time)
        self.webhook = Webhook(make_pool, self.notices.append, wall_clock=self.clock, **options)

    async def to(self, url: str | None) -> None:
        """Let this URL be told."""
        settings = WebhookSettings(url, SecretReference("env", "HOOK_SECRET")) if url is not None else None
        await self.webhook.take_up(await self.webhook.prepare(settings, ENVIRON))


@asynccontextmanager
async def telling(url: str | None, **options: Any) -> AsyncIterator[Told]:
    """Give a webhook that is started, and end it."""
    deadlines = Deadlines(0.01, asyncio.get_running_loop().time)
    told = Told(deadlines, **options)
    await told.to(url)
    told.webhook.start()
    try:
        yield told
    finally:
        await told.webhook.close()
        deadlines.close()
        assert SECRET not in repr(told.notices) + repr(told.webhook)


async def test_an_event_is_told_and_signed() -> None:
    """With an id, its time, and the path and query of the URL as they were written."""
    async with FaultUpstream(default=TAKEN) as receiver, telling(f"{receiver.origin}/a/b/?c=d%20e") as told:
        told.webhook.send("limit.warn", {"subject": "team/dev", "used": 5})
        await until(lambda: receiver.requests)
        [request] = receiver.requests
        assert (request.method, request.path) == ("POST", "/a/b/?c=d%20e")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert request.headers["webhook-timestamp"] == "1790000000"
        assert request.json == {
            "type": "limit.warn",
            "timestamp": "2026-09-21T14:13:20Z",
            "data": {"subject": "team/dev", "used": 5},
        }
        verify(request, SECRET)
        assert (told.webhook.problem, told.notices) == (None, [])


@pytest.mark.parametrize(
    "failure",
    [status(500), status(302, {"Location": "http://127.0.0.1:1/"}), raw(b"").reset(), raw(b"SSH-2.0\r\n")],
    ids=["500", "redirect", "reset", "no HTTP"],
)
async def test_what_fails_is_tried_again(failure: Behaviour) -> None:
    """Under the same id, signed anew, until it is taken; nobody is told of what was mended by that."""
    async with (
        FaultUpstream([failure, failure], default=TAKEN) as receiver,
        telling(receiver.origin) as told,
    ):
        told.webhook.send("limit.warn", {})
        await until(lambda: len(receiver.requests) == 3)
        await until(lambda: told.webhook.problem is None)
        assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1
        for request in receiver.requests:
            verify(request, SECRET)
        assert (told.webhook.lost, told.notices) == (0, [])


async def test_the_time_in_the_signature_is_that_of_the_try() -> None:
    """Receivers refuse what is old."""
    async with (
        FaultUpstream([status(500)], default=TAKEN) as receiver,
        telling(receiver.origin, waits=(0.1,)) as told,
    ):
        told.webhook.send("limit.warn", {})
        await until(lambda: receiver.requests)
        told.clock.forward(300)
        await until(lambda: len(receiver.requests) == 2)
        assert [one.headers["webhook-timestamp"] for one in receiver.requests] == [
            "1790000000",
            "1790000300",
        ]


async def test_tries_are_bounded() -> None:
    """An event that nobody takes is given up and counted, and told of once; the next one is tried anew."""
    async with FaultUpstream(default=status(500)) as receiver, telling(f"{receiver.origin}/s3cret") as told:
        for _ in range(2):
            told.webhook.send("limit.warn", {})
        await until(lambda: told.webhook.lost == 2)
        assert len(receiver.requests) == 2 * (1 + len(SOON))
        assert len({one.headers["webhook-id"] for one in receiver.requests}) == 2
        [notice] = told.notices
        assert "it answered HTTP 500" in notice
        assert told.webhook.problem is not None
        assert "2 events" in told.webhook.problem
        assert "s3cret" not in notice + told.webhook.problem
        receiver.default = TAKEN
        told.webhook.send("limit.warn", {})
        await until(lambda: told.webhook.problem is None)


async def test_a_receiver_that_is_gone_is_not_asked_twice() -> None:
    """410 is its own word for it."""
    async with FaultUpstream(default=status(410)) as receiver, telling(receiver.origin) as told:
        told.webhook.send("limit.warn", {})
        await until(lambda: told.webhook.lost == 1)
        assert len(receiver.requests) == 1


async def test_a_refused_connection_is_a_failure_like_another() -> None:
    """The reason is told in words."""
    with refused_port() as port:
        async with telling(f"http://127.0.0.1:{port}/") as told:
            told.webhook.send("limit.warn", {})
            await until(lambda: told.webhook.lost == 1)
            assert "connection refused" in told.notices[0]


async def test_a_silent_receiver_has_a_time_limit() -> None:
    """It is tried again, and the silent connection is closed."""
    patience = Timeouts(connect=1, head=0.05, total=0.1)
    async with (
        FaultUpstream([silence()], default=TAKEN) as receiver,
        telling(receiver.origin, patience=patience) as told,
    ):
        told.webhook.send("limit.warn", {})
        await until(lambda: len(receiver.requests) == 2)
        await until(lambda: told.webhook.problem is None and receiver.open == 0)


async def test_a_huge_answer_is_not_read() -> None:
    """Its status is all that counts."""
    async with (
        FaultUpstream(default=raw(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (8 << 20))) as receiver,
        telling(receiver.origin) as told,
    ):
        told.webhook.send("limit.warn", {})
        await until(lambda: receiver.requests)
        await until(lambda: receiver.open == 0)
        await asyncio.sleep(4 * SOON[0])
        assert (len(receiver.requests), told.webhook.problem) == (1, None)


async def test_waiting_events_are_bounded() -> None:
    """The oldest ones are dropped, counted and told of; sending never waits."""
    async with (
        FaultUpstream([silence()], default=TAKEN) as receiver,
        telling(receiver.origin, most_waiting=3) as told,
    ):
        told.webhook.send("limit.warn", {"number": 0})
        await until(lambda: receiver.requests)
        for number in range(1, 6):
            told.webhook.send("limit.warn", {"number": number})
        assert told.webhook.lost == 2
        assert len(told.notices) == 1
        receiver.drop()
        await until(lambda: len(receiver.requests) == 5)
        assert [one.json["data"]["number"] for one in receiver.requests] == [0, 0, 3, 4, 5]


async def test_nobody_is_told_without_a_receiver() -> None:
    """And nothing is kept for one."""
    async with FaultUpstream(default=TAKEN) as receiver, telling(None) as told:
        told.webhook.send("limit.warn", {"number": 1})
        await told.to(receiver.origin)
        told.webhook.send("limit.warn", {"number": 2})
        await until(lambda: receiver.requests)
        assert receiver.requests[0].json["data"] == {"number": 2}


async def test_a_changed_receiver_is_told_at_once() -> None:
    """Also of what the former one did not take, whose next try was far off."""
    async with (
        FaultUpstream(default=status(500)) as former,
        FaultUpstream(default=TAKEN) as new,
        telling(former.origin, waits=(600.0,)) as told,
    ):
        told.webhook.send("limit.warn", {})
        await until(lambda: told.webhook.problem)
        await told.to(new.origin)
        await until(lambda: new.requests)
        await until(lambda: told.webhook.problem is None)
        assert len(former.requests) == 1
        await told.to(None)
        told.webhook.send("limit.warn", {})
        await turns()
        assert len(new.requests) == 1


async def test_the_end_is_not_waited_for() -> None:
    """What nobody was told of is counted, and the connection is closed."""
    async with (
        FaultUpstream(default=silence()) as receiver,
        telling(receiver.origin) as told,
    ):
        for _ in range(3):
            told.webhook.send("limit.warn", {})
        await until(lambda: receiver.requests)
        await told.webhook.close()
        await until(lambda: receiver.open == 0)
        assert told.notices == ["The webhook was not told of 3 events, as the gateway ends."]


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "!" * 40,
                                    "whsec_" + base64.b64encode(b"x" * 65).decode()])  # fmt: skip
async def test_a_secret_that_cannot_sign_is_refused(secret: str) -> None:
    """Before anything changes, without being repeated, with what makes one."""
    async with telling(None) as told:
        settings = WebhookSettings("https://example.com/", SecretReference("env", "HOOK_SECRET"))
        with pytest.raises(ConfigurationError) as caught:
            await told.webhook.prepare(settings, {"HOOK_SECRET": secret})
        assert str(caught.value).startswith("Webhook: ")
        assert not secret or secret in ("short", "whsec_") or secret not in str(caught.value)

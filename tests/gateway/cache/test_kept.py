"""What a route keeps, for how long, for whom, and what is never kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from shareai_cli.config import CacheSettings, RouteSettings
from shareai_cli.ledger import Closed
from shareai_cli.types import Caller, Outcome
from shareai_cli.wire.message import PushedBody
from tests.support.behaviours import (
    Behaviour,
    chat,
    error_in_200,
    html,
    reply,
    status,
    stream,
)
from tests.support.gateway import CALLER, KEY, Answer, Gate, cancelled
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

ROUTE = {"chat": ["a/m"]}
MINUTE = CacheSettings(60.0)
OTHER_KEY = "sk-shareai-other"


def how(answer: Answer) -> str | None:
    """Return what the cache did, as the reply says."""
    return answer.headers.get("x-shareai-cache")


def with_teams(gate: Gate) -> None:
    """Make the other key one of another team."""
    callers = {KEY: CALLER, OTHER_KEY: Caller(8, "phone", "others")}
    gate.gateway.keys.replace({hashlib.sha256(key.encode()).digest(): one for key, one in callers.items()})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_equal_request_is_answered_with_what_is_kept(streamed: bool) -> None:
    """Byte for byte, without a call, in the form that was asked for, and the headers say from where."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        first, second = await gate.ask(stream=streamed), await gate.ask(stream=streamed)
        assert (how(first), how(second)) == ("miss", "hit")
        assert second.body == first.body
        assert second.status == first.status
        assert second.headers["content-type"] == first.headers["content-type"]
        assert second.headers["x-shareai-target"] == "a/m"
        assert (first.headers["x-shareai-attempts"], second.headers["x-shareai-attempts"]) == ("1", "0")
        assert second.headers["x-request-id"] != first.headers["x-request-id"]
        assert len(a.completions) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_hit_has_a_row_of_its_own_that_costs_nothing(streamed: bool) -> None:
    """Its outcome says what it is, its target where it came from; there is no attempt and no token."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask(stream=streamed)
        await gate.ask(stream=streamed)
        _, hit = gate.ledger.closed_entries
        assert (hit.outcome, hit.status, hit.route, hit.target) == (Outcome.HIT, 200, "chat", "a/m")
        assert (hit.attempts, hit.usage, hit.provider_key, hit.streamed) == ((), None, "", streamed)
        assert (hit.team, hit.caller_key) == (CALLER.team, CALLER.key_id)
        assert len(gate.ledger.opened_entries) == 1


async def test_a_stream_is_given_out_as_its_events() -> None:
    """A client sees events come, not one block; what is no stream never gets one, and the other way round."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask(stream=True)
        response = await gate.begin(stream=True)
        pieces: list[bytes] = []

        class Writer:
            def write(self, piece: bytes) -> None:
                pieces.append(piece)

            def end(self) -> None:
                pieces.append(b"")

            def fail(self, error: Exception) -> None:
                raise error

        response.body.start(Writer())  # type: ignore[union-attr] # it is a stream
        assert pieces.pop() == b""
        assert len(pieces) > 3
        assert all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in pieces)
        response.body.close()  # type: ignore[union-attr]
        whole = await gate.ask()
        assert how(whole) == "miss"
        assert whole.headers["content-type"] == "application/json"
        assert len(a.completions) == 2


class Slow:
    """A client that takes one piece at a time of a body."""

    def __init__(self, body: object) -> None:
        assert isinstance(body, PushedBody)
        self.body = body
        self.taken: list[bytes] = []
        self.ended = False

    def write(self, piece: bytes) -> None:
        self.taken.append(piece)
        self.body.pause()

    def end(self) -> None:
        self.ended = True

    def fail(self, error: Exception) -> None:
        raise error


async def test_a_slow_client_takes_a_kept_stream_as_it_can() -> None:
    """What it does not take waits; who leaves before the end has a row that says so."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        whole = await gate.ask(stream=True)
        slow = Slow((await gate.begin(stream=True)).body)
        slow.body.start(slow)
        while not slow.ended:
            assert len(gate.ledger.closed_entries) == 1
            before = len(slow.taken)
            slow.body.resume()
            assert len(slow.taken) == before + 1
        assert b"".join(slow.taken) == whole.body
        slow.body.close()
        leaving = Slow((await gate.begin(stream=True)).body)
        leaving.body.start(leaving)
        leaving.body.close()
        leaving.body.resume()
        assert len(leaving.taken) == 1
        assert [one.outcome for one in gate.ledger.closed_entries[1:]] == [Outcome.HIT, Outcome.CANCELLED]


async def test_without_the_setting_nothing_is_kept() -> None:
    """No header, no hit, and equal requests that come together are two calls."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE) as gate:
        one, other = await asyncio.gather(gate.ask(), gate.ask())
        assert how(one) is how(other) is None
        assert len(a.completions) == 2


async def test_only_routes_that_say_so_keep_replies() -> None:
    """The same model asked for by its full name goes on as ever."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        assert [how(await gate.ask("a/m")) for _ in range(2)] == [None, None]
        assert len(a.completions) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 1},
        {"messages": [{"role": "user", "content": "hi!"}]},
        {"user": "u"},
        {"n": 1},
        {"x": None},
    ],
    ids=str,
)
async def test_any_other_body_is_another_request(change: Mapping[str, Any]) -> None:
    """The whole body counts, also what this gateway does not know."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask()
        assert how(await gate.ask(**change)) == "miss"
        assert how(await gate.ask()) == "hit"


async def test_nothing_crosses_teams() -> None:
    """Another team's equal request is a miss, also while the first one is under way."""
    go_on = asyncio.Event()
    slow = chat().stall(at=1, until=go_on)
    async with FaultUpstream([slow, slow]) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        with_teams(gate)
        ours = asyncio.ensure_future(gate.ask())  # noqa: TID251 - awaited below
        await until(lambda: len(a.completions) == 1)
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]}).encode()
        theirs = asyncio.ensure_future(gate.send(body, key=OTHER_KEY))  # noqa: TID251 - awaited below
        await until(lambda: len(a.completions) == 2)
        go_on.set()
        assert [how(await one) for one in (ours, theirs)] == ["miss", "miss"]
        assert [how(await gate.send(body, key=key)) for key in (KEY, OTHER_KEY)] == ["hit", "hit"]
        assert len(a.completions) == 2


async def test_a_route_can_share_among_teams() -> None:
    """Where it says so, one team's reply is another's, in a row of that other team."""
    shared = CacheSettings(60.0, shared=True)
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=shared) as gate:
        with_teams(gate)
        await gate.ask()
        body = a.completions[0].body.replace(b'"m"', b'"chat"')
        assert how(await gate.send(body, key=OTHER_KEY)) == "hit"
        assert gate.ledger.closed_entries[-1].team == "others"


async def test_a_reply_is_given_until_it_is_too_old() -> None:
    """Its age counts from when it was complete."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask()
        gate.pass_time(59.0)
        assert how(await gate.ask()) == "hit"
        gate.pass_time(1.1)
        assert how(await gate.ask()) == "miss"
        assert how(await gate.ask()) == "hit"
        assert len(a.completions) == 2


async def test_the_size_is_a_limit_and_the_ones_asked_for_last_stay() -> None:
    """Replies go that were not asked for the longest; one that is too large is not kept at all."""
    room = CacheSettings(60.0, size=5_000)
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=room) as gate:
        for number in range(4):
            await gate.ask(n=number)
            await gate.ask(n=0)
        for number in range(20):
            await gate.ask(n=100 + number)
            assert how(await gate.ask(n=0)) == "hit"
            [use] = await gate.gateway.cache.use()
            assert use.size <= 5_000
        assert how(await gate.ask(n=100)) == "miss"
        a.script.append(chat("x" * 6_000))
        await gate.ask(n=1000)
        assert how(await gate.ask(n=0)) == "hit"
        assert how(await gate.ask(n=1000)) == "miss"


LARGE = "y" * 9_000


async def test_a_stream_that_is_too_large_only_passes() -> None:
    """It is given out whole, nothing of it is kept, and what it held is given back."""
    room = CacheSettings(60.0, size=5_000)
    async with (
        FaultUpstream(default=stream(*[LARGE] * 5)) as a,
        Gate({"a": a}, routes=ROUTE, cache=room) as gate,
    ):
        for _ in range(2):
            answer = await gate.ask(stream=True)
            assert (how(answer), answer.text) == ("miss", LARGE * 5)
        assert gate.gateway.cache._room.taken == 0
        assert len(a.completions) == 2


INCOMPLETE: dict[str, Behaviour] = {
    "refused": status(400),
    "moved": status(302),
    "failed": status(500),
    "error in a 200": error_in_200(),
    "no completion": html(),
    "cut off": chat().end(at=200),
    "failed choice": reply(
        b'{"choices": [{"index": 0, "finish_reason": "error", "message": {"content": "Hel"}}]}'
    ),
}


@pytest.mark.parametrize("name", INCOMPLETE)
async def test_nothing_of_what_failed_is_kept(name: str) -> None:
    """The next equal request is asked anew."""
    async with FaultUpstream([INCOMPLETE[name]]) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask()
        gate.pass_time(31.0)  # and the target is well again
        second = await gate.ask()
        assert (how(second), second.text) == ("miss", "Hello there.")
        assert how(await gate.ask()) == "hit"


BROKEN: dict[str, Behaviour] = {
    "refused": status(400),
    "an error event": stream("a", "b", error_before=1),
    "cut off": stream("a", "b").end(after=3),
    "without an end": stream("a", "b", finish=None, done=False),
    "a choice that failed": stream("a", finish="error"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_nothing_of_a_broken_stream_is_kept(name: str) -> None:
    """However far it had come."""
    async with FaultUpstream([BROKEN[name]]) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask(stream=True)
        gate.pass_time(31.0)
        second = await gate.ask(stream=True)
        assert (how(second), second.text) == ("miss", "Hello there.")
        assert how(await gate.ask(stream=True)) == "hit"


async def test_a_stream_that_everybody_left_is_not_kept() -> None:
    """The call ends with them, and is a row."""
    async with (
        FaultUpstream([stream("a", "b").stall(after=3)]) as a,
        Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate,
    ):
        response = await gate.begin(stream=True)
        response.body.close()  # type: ignore[union-attr]
        await until(lambda: a.open == 0)
        assert gate.closed.outcome is Outcome.CANCELLED
        assert how(await gate.ask(stream=True)) == "miss"


@pytest.mark.parametrize(
    ("value", "first", "second", "third"),
    [
        ("no-cache", "hit", "miss", "hit"),
        ("no-store", "hit", "miss", "hit"),
        ("Max-Age=0, No-Cache", "hit", "miss", "hit"),
        ("max-age=5", "hit", "hit", "hit"),
        ("no-cache-please", "hit", "hit", "hit"),
    ],
)
async def test_a_client_can_ask_anew(value: str, first: str, second: str, third: str) -> None:
    """`no-cache` and `no-store` are answered by an upstream; what else is said of caches says nothing."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask()
        body = a.completions[0].body.replace(b'"m"', b'"chat"')
        ways = [await gate.send(body, headers=headers) for headers in ({}, {"cache-control": value}, {})]
        assert [how(answer) for answer in ways] == [first, second, third]


async def test_what_was_asked_for_anew_takes_the_place_of_what_was_kept() -> None:
    """`no-cache` keeps the new reply, `no-store` keeps nothing."""
    replies = [chat("one"), chat("two"), chat("three")]
    async with FaultUpstream(replies) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask()
        body = a.completions[0].body.replace(b'"m"', b'"chat"')
        texts = [
            (await gate.send(body, headers={"cache-control": value})).text
            for value in ("no-cache", "", "no-store", "")
        ]
        assert texts == ["two", "two", "three", "two"]


async def test_a_route_that_changes_forgets_what_others_answered() -> None:
    """Neither other targets' replies, nor those of a route that keeps nothing any more, are given."""
    async with (
        FaultUpstream() as a,
        FaultUpstream(default=chat("b")) as b,
        Gate({"a": a, "b": b}, routes=ROUTE, cache=MINUTE) as gate,
    ):
        settings = gate.settings
        route = settings.routes["chat"]
        await gate.ask()

        async def change(changed: RouteSettings) -> None:
            await gate.gateway.replace(replace(settings, routes={"chat": changed}))

        target = replace(route.targets[0], target=replace(route.targets[0].target, provider="b"))
        await change(replace(route, targets=(target,)))
        assert ((answer := await gate.ask()).text, how(answer)) == ("b", "miss")
        await change(replace(route, cache=None))
        assert how(await gate.ask()) is None
        await change(route)
        assert how(await gate.ask()) == "miss"
        await change(replace(route, cache=CacheSettings(30.0)))
        assert how(await gate.ask()) == "hit"
        gate.pass_time(31.0)
        assert how(await gate.ask()) == "miss"


async def test_a_body_too_large_to_be_looked_at_goes_on() -> None:
    """Its key would hold up others."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        large = [{"role": "user", "content": "x" * (1 << 20)}]
        assert [how(await gate.ask(messages=large)) for _ in range(2)] == ["miss", "miss"]
        assert len(a.completions) == 2


async def test_it_can_be_cleared() -> None:
    """What is kept goes, and what is under way is not kept; a route that keeps nothing is a mistake."""
    go_on = asyncio.Event()
    late = chat().stall(at=1, until=go_on)
    async with FaultUpstream([chat(), late]) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        await gate.ask(n=1)
        under_way = asyncio.ensure_future(gate.ask(n=2))  # noqa: TID251 - awaited below
        await until(lambda: len(a.completions) == 2)
        [cleared] = await gate.gateway.cache.clear("chat")
        assert (cleared.route, cleared.replies, cleared.misses) == ("chat", 1, 1)
        go_on.set()
        await under_way
        assert [how(await gate.ask(n=number)) for number in (1, 2)] == ["miss", "miss"]
        with pytest.raises(Exception, match="Did you mean 'chat'"):
            await gate.gateway.cache.clear("chatt")


async def test_with_comments_a_hit_comes_at_once() -> None:
    """Comments fill the wait of a miss, and are not kept."""
    go_on = asyncio.Event()
    late = stream("a", "b").stall(until=go_on)
    async with (
        FaultUpstream([late]) as a,
        Gate({"a": a}, routes=ROUTE, cache=MINUTE, comments=0.01) as gate,
    ):
        response = await gate.begin(stream=True)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        first = await gate.take(response)
        assert b": keep-alive" in first.body
        second = await gate.ask(stream=True)
        assert (how(second), second.text) == ("hit", first.text)
        assert b": " not in second.body.replace(b'": ', b"").replace(b"data: ", b"").replace(b", ", b"")


async def test_who_leaves_before_the_reply_ends_the_call() -> None:
    """A call that nobody waits for is cancelled, and settled once, as a client that left."""
    async with FaultUpstream([chat().stall()]) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        asking = asyncio.ensure_future(gate.ask())  # noqa: TID251 - cancelled below
        await until(lambda: a.completions)
        await cancelled(asking)
        await until(lambda: a.open == 0)
        closed: Closed = gate.closed
        assert (closed.outcome, closed.status) == (Outcome.CANCELLED, 499)
        assert [one.outcome for one in closed.attempts] == ["cancelled"]
        await turns()

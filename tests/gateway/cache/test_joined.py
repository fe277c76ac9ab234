"""Concurrent equal requests share one call, whoever leads it, leaves it, or comes late."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from shareai_cli.config import CacheSettings
from shareai_cli.gateway.cache import recording
from shareai_cli.types import Outcome, Usage
from shareai_cli.wire.message import PushedBody, Request, Response
from tests.gateway.test_accounts import Fields
from tests.support.behaviours import Behaviour, chat, status, stream
from tests.support.gateway import KEY, Answer, Gate, cancelled, chat_body
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

ROUTE = {"chat": ["a/m"]}
MINUTE = CacheSettings(60.0)
TEXTS = ("Hello", " there", ", you", " all")
PARTS = len(TEXTS) + 5
"""The head, the role, the texts, the reason of the end, usage, [DONE]."""


def how(answer: Answer) -> str:
    return answer.headers["x-shareai-cache"]


def asking(gate: Gate, **fields: Any) -> asyncio.Task[Answer]:
    return asyncio.get_running_loop().create_task(gate.ask(**fields))


@asynccontextmanager
async def gate_over(*script: Behaviour) -> AsyncIterator[tuple[Gate, FaultUpstream]]:
    async with FaultUpstream(script) as a, Gate({"a": a}, routes=ROUTE, cache=MINUTE) as gate:
        yield gate, a


async def expected(streamed: bool = True) -> bytes:
    """Return the bytes of the stream as one client alone gets them."""
    async with gate_over(stream(*TEXTS)) as (gate, _):
        return (await gate.ask(stream=streamed)).body


async def test_a_thousand_equal_streams_are_one_call() -> None:
    """Half of them come while it is under way: each gets every byte, and only one of them costs anything."""
    go_on = asyncio.Event()
    async with gate_over(stream(*TEXTS).stall(after=4, until=go_on)) as (gate, a):
        early = [asking(gate, stream=True) for _ in range(500)]
        await until(lambda: a.completions)
        await turns()
        late = [asking(gate, stream=True) for _ in range(500)]
        await turns()
        go_on.set()
        answers = await asyncio.gather(*early, *late)
        assert {answer.body for answer in answers} == {await expected()}
        assert sorted(map(how, answers)) == ["joined"] * 999 + ["miss"]
        assert len(a.completions) == 1
        outcomes = [entry.outcome for entry in gate.ledger.closed_entries]
        assert sorted(outcomes) == [Outcome.JOINED] * 999 + [Outcome.OK]
        assert [entry.usage for entry in gate.ledger.closed_entries if entry.attempts] == [Usage(9, 0, 0, 12)]
        assert all(entry.target == "a/m" for entry in gate.ledger.closed_entries)
        assert len(gate.ledger.opened_entries) == 1


async def test_whole_replies_are_shared_too() -> None:
    """Equal requests that come before the reply wait for it."""
    go_on = asyncio.Event()
    async with gate_over(chat().stall(until=go_on)) as (gate, a):
        tasks = [asking(gate) for _ in range(5)]
        await until(lambda: a.completions)
        go_on.set()
        answers = await asyncio.gather(*tasks)
        assert [how(answer) for answer in answers] == ["miss", *["joined"] * 4]
        assert len({answer.body for answer in answers}) == 1
        assert [answer.headers["x-shareai-attempts"] for answer in answers] == ["1", *"0000"]
        assert len(a.completions) == 1
        assert [
            entry.attempts for entry in gate.ledger.closed_entries if entry.outcome is Outcome.JOINED
        ] == [()] * 4


@pytest.mark.parametrize("event", range(PARTS))
@pytest.mark.parametrize("late", [False, True], ids=["together", "late"])
async def test_the_leader_leaves_at_each_event(event: int, late: bool) -> None:
    """The call goes on for the others, who get every byte; its cost is in the row of the one who left."""
    go_on = asyncio.Event()
    async with gate_over(stream(*TEXTS).stall(after=event, until=go_on)) as (gate, a):
        leader = asyncio.get_running_loop().create_task(gate.begin(stream=True))
        await until(lambda: a.completions)
        if not late:
            others = [asking(gate, stream=True) for _ in range(3)]
        await turns()
        if late:
            others = [asking(gate, stream=True) for _ in range(3)]
            await turns(3)
        left_with = 200 if leader.done() else 499
        if leader.done():
            await leave(leader.result())
        else:
            await cancelled(leader)
        assert a.open == 1
        go_on.set()
        answers = await asyncio.gather(*others)
        assert {answer.body for answer in answers} == {await expected()}
        assert len(a.completions) == 1
        *joined, led = sorted(gate.ledger.closed_entries, key=lambda entry: len(entry.attempts))
        assert [entry.outcome for entry in joined] == [Outcome.JOINED] * 3
        assert (led.outcome, led.status, led.usage) == (Outcome.CANCELLED, left_with, Usage(9, 0, 0, 12))
        assert [one.outcome for one in led.attempts] == ["ok"]
        assert how(await gate.ask(stream=True)) == "hit"


async def leave(response: Response) -> None:
    """Take what has come of a stream, and leave."""
    assert isinstance(response.body, PushedBody)
    async with aclosing(Taken(response.body)) as pieces:
        await anext(pieces)


async def test_everyone_leaves() -> None:
    """With the last one the call ends; its row is the only one with an attempt."""
    async with gate_over(stream(*TEXTS).stall(after=3)) as (gate, a):
        responses = await asyncio.gather(*[gate.begin(stream=True) for _ in range(3)])
        for number, response in enumerate(responses):
            assert a.open == 1
            await leave(response)
            assert len(gate.ledger.closed_entries) == (number if number < 2 else 3)
        await until(lambda: a.open == 0)
        assert [entry.outcome for entry in gate.ledger.closed_entries] == [Outcome.CANCELLED] * 3
        assert sorted(len(entry.attempts) for entry in gate.ledger.closed_entries) == [0, 0, 1]
        assert how(await gate.ask(stream=True)) == "miss"


async def test_everyone_leaves_before_the_reply() -> None:
    """Nothing is left of the call, and a new equal request is asked."""
    async with gate_over(chat().stall()) as (gate, a):
        tasks = [asking(gate) for _ in range(3)]
        await until(lambda: a.completions)
        for task in tasks:
            assert a.open == 1
            await cancelled(task)
        await until(lambda: a.open == 0)
        assert [(one.outcome, one.status) for one in gate.ledger.closed_entries] == [
            (Outcome.CANCELLED, 499)
        ] * 3
        assert how(await gate.ask()) == "miss"


@pytest.mark.parametrize("code", [400, 500])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_failure_is_everybodys(code: int, streamed: bool) -> None:
    """Who waits for a call that fails is told so; one call was made, and one row has the attempt."""
    go_on = asyncio.Event()
    async with gate_over(status(code).stall(until=go_on)) as (gate, a):
        tasks = [asking(gate, stream=streamed) for _ in range(3)]
        await until(lambda: a.completions)
        go_on.set()
        answers = await asyncio.gather(*tasks)
        assert {answer.status for answer in answers} == {400 if code == 400 else 503}
        assert len({answer.body for answer in answers}) == 1
        assert len(a.completions) == 1
        rejected = Outcome.REJECTED if code == 400 else Outcome.FAILED
        assert [entry.outcome for entry in gate.ledger.closed_entries] == [rejected] * 3
        assert sorted(len(entry.attempts) for entry in gate.ledger.closed_entries) == [0, 0, 1]


async def test_a_stream_that_breaks_breaks_for_all() -> None:
    """Each is told by the same event; the rows of those who joined are incomplete, and have no attempt."""
    async with gate_over(stream(*TEXTS).end(after=4)) as (gate, _):
        answers = await asyncio.gather(*[gate.ask(stream=True) for _ in range(3)])
        assert len({answer.body for answer in answers}) == 1
        assert "error" in answers[0].events[-1]
        entries = gate.ledger.closed_entries
        assert [(one.outcome, one.error, one.status) for one in entries] == [
            (Outcome.INCOMPLETE, "truncated", 200)
        ] * 3
        assert sorted(len(entry.attempts) for entry in entries) == [0, 0, 1]


async def test_a_client_that_wants_it_anew_joins_nobody() -> None:
    """With `no-cache` or `no-store` a request is a call of its own, and others join only the former."""
    go_on = asyncio.Event()
    slow = chat().stall(until=go_on)
    async with gate_over(*[slow] * 3) as (gate, a):
        body = chat_body()
        tasks = []
        for number, value in enumerate(("", "no-store", "", "no-cache", "")):
            headers = {"cache-control": value} if value else {}
            tasks.append(asyncio.get_running_loop().create_task(gate.send(body, headers=headers)))
            await until(lambda number=number: len(a.completions) >= (1, 2, 2, 3, 3)[number])  # type: ignore[misc]
            await turns(3)
        go_on.set()
        answers = await asyncio.gather(*tasks)
        assert [how(one) for one in answers] == ["miss", "miss", "joined", "miss", "joined"]
        assert len(a.completions) == 3


class Client:
    """A client that takes what a test lets it."""

    def __init__(self, response: Response, *, takes: bool) -> None:
        assert isinstance(response.body, PushedBody)
        self.body = response.body
        self.taken = 0
        self.ended = False
        self.failure: Exception | None = None
        self._takes = takes

    def start(self) -> None:
        self.body.start(self)

    def write(self, piece: bytes) -> None:
        self.taken += len(piece)
        if not self._takes:
            self.body.pause()

    def end(self) -> None:
        self.ended = True

    def fail(self, error: Exception) -> None:
        self.failure = error


async def test_a_row_is_there_before_the_last_event() -> None:
    """Of the one who led, of one who joined and of a hit: what a client saw end is in the accounts."""
    seen: list[list[Outcome]] = []

    class Noting(Client):
        def write(self, piece: bytes) -> None:
            if b"[DONE]" in piece:
                seen.append([entry.outcome for entry in gate.ledger.closed_entries])

    async with gate_over(stream(*TEXTS)) as (gate, _):
        for number in (2, 1):
            responses = await asyncio.gather(*[gate.begin(stream=True) for _ in range(number)])
            noting = [Noting(one, takes=True) for one in responses]
            for client in noting:
                client.start()
            await until(lambda noting=noting: all(one.ended for one in noting))  # type: ignore[misc]
            for client in noting:
                client.body.close()
        led, joined, hit = seen
        assert led == [Outcome.OK]
        assert joined == [Outcome.OK, Outcome.JOINED]
        assert hit == [Outcome.OK, Outcome.JOINED, Outcome.HIT]


TEXT = "x" * 100_000


async def test_a_slow_client_stalls_nobody() -> None:
    """The others get all of it; the slow one goes on later with what it has not taken."""
    async with gate_over(stream(*[TEXT] * 20)) as (gate, _):
        responses = await asyncio.gather(*[gate.begin(stream=True) for _ in range(3)])
        slow, *fast = [Client(one, takes=number > 0) for number, one in enumerate(responses)]
        for client in (slow, *fast):
            client.start()
        await until(lambda: all(client.ended for client in fast))
        assert slow.taken < fast[0].taken
        slow._takes = True
        slow.body.resume()
        assert slow.ended
        assert slow.taken == fast[0].taken == fast[1].taken
        for client in (slow, *fast):
            client.body.close()
        assert gate.gateway.cache._room.taken == 0


async def test_what_a_slow_client_holds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole is no longer held, one that is too far behind is let go, and the others go on."""
    monkeypatch.setattr(recording, "FURTHEST_BEHIND", 1_000_000)
    room = CacheSettings(60.0, size=200_000)
    async with (
        FaultUpstream(default=stream(*[TEXT] * 40)) as a,
        Gate({"a": a}, routes=ROUTE, cache=room) as gate,
    ):
        responses = await asyncio.gather(*[gate.begin(stream=True) for _ in range(2)])
        slow, fast = (Client(one, takes=number > 0) for number, one in enumerate(responses))
        broadcast = slow.body._recording  # type: ignore[attr-defined]
        slow.start()
        fast.start()
        largest = 0

        def look() -> bool:
            nonlocal largest
            largest = max(largest, sum(map(len, broadcast.pieces)))
            return fast.ended

        await until(look)
        assert isinstance(slow.failure, Exception)
        assert fast.taken > 4_000_000
        assert largest < 2_000_000
        slow.body.close()
        fast.body.close()
        led = gate.ledger.closed_entries
        assert [one.outcome for one in led if one.attempts] == [Outcome.CANCELLED]
        assert [one.outcome for one in led if not one.attempts] == [Outcome.JOINED]
        assert gate.gateway.cache._room.taken == 0


async def test_where_all_are_slow_the_upstream_waits() -> None:
    """As it does for one client: nothing is read that nobody takes."""

    async with gate_over(stream(*[TEXT] * 400)) as (gate, _):
        responses = await asyncio.gather(*[gate.begin(stream=True) for _ in range(2)])
        clients = [Client(one, takes=False) for one in responses]
        broadcast = clients[0].body._recording  # type: ignore[attr-defined]
        for client in clients:
            client.start()
        before = -1
        while before != broadcast._total:
            before = broadcast._total
            await asyncio.sleep(0.05)
        assert broadcast._total < 8_000_000
        for client in clients:
            client._takes = True
        clients[0].body.resume()
        await until(lambda: clients[0].ended)
        assert clients[0].taken > 40_000_000
        for client in clients:
            client.body.close()


async def test_what_is_under_way_has_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the room is used up, calls only pass, and a late client leads one of its own."""
    go_on = asyncio.Event()
    stalled = stream(*TEXTS).stall(after=4, until=go_on)
    async with gate_over(stalled, stalled) as (gate, a):
        gate.gateway.cache._room._most = 100
        first = asking(gate, stream=True)
        await until(lambda: a.completions)
        await turns()
        late = asking(gate, stream=True)
        await until(lambda: len(a.completions) == 2)
        go_on.set()
        answers = await asyncio.gather(first, late)
        assert [how(one) for one in answers] == ["miss", "miss"]
        assert {one.body for one in answers} == {await expected()}
        assert how(await gate.ask(stream=True)) == "miss"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_shared_call_goes_when_it_has_ended(streamed: bool) -> None:
    """Nothing of it waits for the collector of cycles: requests may be large, and are many."""
    async with gate_over() as (gate, _):
        headers = Fields({b"authorization": f"Bearer {KEY}".encode()})
        gone = weakref.ref(headers)
        body = chat_body("chat", stream=streamed)
        gc.disable()
        try:
            request = Request("POST", "/v1/chat/completions", "", "1.1", headers, body)
            response = await gate.gateway.respond(request)
            await gate.take(response)
            del headers, response, request
            await turns()
            assert gone() is None
        finally:
            gc.enable()

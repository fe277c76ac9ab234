"""What follows when a target fails, row by row of the table, in both forms of a reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shareai_cli.config import TimeLimits
from shareai_cli.gateway.failover import MOST_ATTEMPTS, TOTAL_SECONDS
from shareai_cli.gateway.health import ASIDE_SECONDS, EJECT_AFTER, FIRST_EJECTION
from shareai_cli.gateway.retries import LEAST
from shareai_cli.types import Outcome, Usage
from tests.support.behaviours import (
    Behaviour,
    chat,
    endless_head,
    error_in_200,
    html,
    quota_exhausted,
    rate_limited,
    raw,
    reply,
    silence,
    status,
)
from tests.support.gateway import Gate, fingerprint, provider_key
from tests.support.upstream import FaultUpstream, refused_port, unanswered_port
from tests.support.waiting import turns, until

ROUTE = {"chat": ["a/m", "b/m"]}
both_forms = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@asynccontextmanager
async def two_targets(
    script: Sequence[Behaviour] = (),
    second: Sequence[Behaviour] = (),
    *,
    always: Behaviour | None = None,
    always_second: Behaviour | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Gate, FaultUpstream, FaultUpstream]]:
    """Give a gateway whose route `chat` has two targets at two providers."""
    async with (
        FaultUpstream(script, default=always) as a,
        FaultUpstream(second, default=always_second) as b,
        Gate({"a": a, "b": b}, routes=ROUTE, **options) as gate,
    ):
        yield gate, a, b


TRUNCATED_HEAD = raw(b"HTTP/1.1 200 OK\r\nContent-").closing()


@both_forms
@pytest.mark.parametrize(
    ("failure", "outcome", "code"),
    [
        (status(408), "status", 408),
        (status(409), "status", 409),
        (status(500), "status", 500),
        (status(502), "status", 502),
        (status(503, {"Retry-After": "30"}), "status", 503),
        (status(529), "status", 529),
        (html(504), "status", 504),
        (status(307, {"Location": "http://127.0.0.1:1/v1/chat/completions"}), "status", 307),
        (raw(b"").reset(), "reset", 0),
        (raw(b"").end(), "reset", 0),
        (raw(b"HTTP/1.1 200 OK\r\nContent-").closing(), "reset", 0),
        (endless_head(), "malformed", 0),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "malformed", 0),
        (error_in_200(), "malformed", 200),
        (html(), "malformed", 200),
        (reply(b"[]"), "malformed", 200),
    ],
    ids=lambda value: "" if isinstance(value, Behaviour) else str(value),
)
async def test_a_target_that_fails_is_replaced(
    streamed: bool, failure: Behaviour, outcome: str, code: int
) -> None:
    """Whatever it does instead of answering, the client sees the next target's reply and nothing else."""
    async with two_targets([failure]) as (gate, _, b):
        answer = await gate.ask(stream=streamed)
        assert (answer.status, answer.text) == (200, "Hello there.")
        assert answer.headers["x-shareai-target"] == "b/m"
        assert answer.headers["x-shareai-attempts"] == "2"
        assert "x-should-retry" not in answer.headers
        first, second = gate.closed.attempts
        assert (first.target, first.key) == ("a/m", fingerprint("a"))
        assert (first.outcome, first.status) == (outcome, code)
        assert (second.target, second.outcome, second.status) == ("b/m", "ok", 200)
        assert (gate.closed.target, gate.closed.outcome) == ("b/m", Outcome.OK)
        assert [one.key for one in b.completions] == [provider_key("b")]


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (reply(b""), "malformed"),
        (reply(b'{"choices": []}', length=5000).closing(), "truncated"),
        (reply(b'{"choices": []}', length=5), "malformed"),
        (reply(b'{"choices": [' + b" " * 200), "malformed"),
    ],
    ids=["nothing", "cut off", "too long", "half"],
)
async def test_a_reply_that_is_not_whole_is_replaced(failure: Behaviour, outcome: str) -> None:
    """A reply that is not streamed is passed on when all of it came, and only then."""
    async with two_targets([failure]) as (gate, _, _):
        answer = await gate.ask()
        assert answer.headers["x-shareai-target"] == "b/m"
        assert [one.outcome for one in gate.closed.attempts] == [outcome, "ok"]


@both_forms
async def test_a_target_that_refuses_connections_is_replaced(streamed: bool) -> None:
    """A port on which nobody listens."""
    with refused_port() as port:
        async with (
            FaultUpstream() as b,
            Gate({"a": f"http://127.0.0.1:{port}/v1", "b": b}, routes=ROUTE) as gate,
        ):
            answer = await gate.ask(stream=streamed)
            assert (answer.text, answer.headers["x-shareai-target"]) == ("Hello there.", "b/m")
            assert [one.outcome for one in gate.closed.attempts] == ["refused", "ok"]


@both_forms
async def test_a_target_that_does_not_connect_in_time_is_replaced(streamed: bool) -> None:
    """A machine that neither accepts nor refuses."""
    limits = TimeLimits(connect=0.05)
    with unanswered_port() as port:
        async with (
            FaultUpstream() as b,
            Gate({"a": f"http://127.0.0.1:{port}/v1", "b": b}, routes=ROUTE, timeouts=limits) as gate,
        ):
            answer = await gate.ask(stream=streamed)
            assert answer.headers["x-shareai-target"] == "b/m"
            assert [one.outcome for one in gate.closed.attempts] == ["timeout", "ok"]


@both_forms
async def test_a_target_that_is_silent_is_replaced_after_its_time(streamed: bool) -> None:
    """A stream has to begin within its limit for heads; any other reply within the one for all of it."""
    limits = TimeLimits(total=500.0)
    async with two_targets([silence()], timeouts=limits) as (gate, a, b):
        asking = asyncio.get_running_loop().create_task(gate.ask(stream=streamed))
        await until(lambda: a.completions)
        limit = limits.head if streamed else limits.total
        gate.pass_time(limit - 1)
        await turns()
        assert not b.completions
        gate.pass_time(1)
        answer = await asking
        assert answer.headers["x-shareai-target"] == "b/m"
        assert [one.outcome for one in gate.closed.attempts] == ["timeout", "ok"]


async def test_an_error_whose_body_stalls_holds_nobody_up() -> None:
    """Its status is known, and tells what follows: here the key is put aside."""
    stalled = reply(b"{}", 401, length=100).stall(after=2)
    async with two_targets([stalled]) as (gate, a, _b):
        asking = asyncio.get_running_loop().create_task(gate.ask())
        await until(lambda: a.completions)
        await turns()
        gate.pass_time(5)
        assert (await asking).headers["x-shareai-target"] == "b/m"
        assert (await gate.ask()).headers["x-shareai-attempts"] == "1"
        assert len(a.completions) == 1


async def test_a_reused_connection_that_had_ended_counts_for_nothing() -> None:
    """The request is asked once more on a fresh one: one attempt, and no failure against the target."""
    async with FaultUpstream([chat().closing(), chat()]) as a, Gate({"a": a}) as gate:
        assert (await gate.ask("a/m")).status == 200
        answer = await gate.ask("a/m")
        assert (answer.status, answer.headers["x-shareai-attempts"]) == (200, "1")
        assert gate.gateway.health.untroubled


@both_forms
@pytest.mark.parametrize("code", [400, 413, 422])
async def test_what_is_the_clients_own_fault_is_passed_back(streamed: bool, code: int) -> None:
    """Unchanged, never retried, and no client needs to retry it either."""
    async with two_targets([status(code, message="No.")]) as (gate, _a, b):
        answer = await gate.ask(stream=streamed)
        assert (answer.status, answer.error["message"]) == (code, "No.")
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["x-shareai-target"] == "a/m"
        assert answer.headers["content-type"] == "application/json"
        assert not b.completions
        assert (gate.closed.status, gate.closed.outcome, gate.closed.usage) == (code, Outcome.REJECTED, None)
        assert gate.gateway.health.untroubled


async def test_an_error_that_echoes_the_providers_key_has_it_taken_out() -> None:
    """In the body as in the header that is passed back, also where its characters are escaped."""
    key = provider_key("a")
    escaped = key.replace("-", "\\u002d")
    refusal = reply(f"bad key {key}{escaped}!".encode(), 400, content_type=f"text/{key}")
    async with FaultUpstream([refusal]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m")
        assert answer.body == b"bad key [key][key]!"
        assert answer.headers["content-type"] == "text/[key]"


async def test_an_error_that_echoes_the_key_names_it_in_no_message() -> None:
    """What a provider says of an error that is not the client's is not repeated at all."""
    echo = status(401, message=f"Incorrect API key provided: {provider_key('a')}")
    async with FaultUpstream(default=echo) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m")
        assert "a/m: HTTP 401" in answer.error["message"]


async def test_a_redirect_is_never_followed() -> None:
    """An upstream cannot send a request, and its key, somewhere else."""
    async with FaultUpstream() as other:
        to = {"Location": f"{other.base_url}/chat/completions"}
        async with FaultUpstream(default=status(308, to)) as a, Gate({"a": a}) as gate:
            answer = await gate.ask("a/m")
            assert answer.status == 503
            assert not other.requests


# -- targets that come back


async def test_a_target_that_keeps_failing_is_ejected_and_comes_back_after_its_free_call() -> None:
    """Ejected it is not asked; then its provider's free call is, and one real request tries it."""
    async with two_targets([status(500)] * EJECT_AFTER, check="/models") as (gate, a, _b):
        for _ in range(EJECT_AFTER + 2):
            assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        assert len(a.completions) == EJECT_AFTER
        gate.pass_time(FIRST_EJECTION)
        assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        await gate.gateway._prober.probe_due()
        assert [one.method for one in a.requests[EJECT_AFTER:]] == ["GET"]
        assert (await gate.ask()).headers["x-shareai-target"] == "a/m"
        assert gate.gateway.health.untroubled


async def test_one_request_at_a_time_tries_a_target_again() -> None:
    """While the first waits for its reply, the others go elsewhere."""
    go_on = asyncio.Event()
    script = [status(500)] * EJECT_AFTER + [chat().stall(until=go_on)]
    async with FaultUpstream(script) as a, FaultUpstream() as b, Gate({"a": a, "b": b}, routes=ROUTE) as gate:
        for _ in range(EJECT_AFTER):
            await gate.ask()
        gate.pass_time(FIRST_EJECTION)
        trial = asyncio.get_running_loop().create_task(gate.ask())
        await until(lambda: len(a.completions) == EJECT_AFTER + 1)
        assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        go_on.set()
        assert (await trial).headers["x-shareai-target"] == "a/m"


async def test_where_every_target_is_ejected_the_least_bad_is_used() -> None:
    """Rather a try than a refusal: it may be well again."""
    async with FaultUpstream([status(500)] * EJECT_AFTER) as a, Gate({"a": a}) as gate:
        for _ in range(EJECT_AFTER):
            assert (await gate.ask("a/m")).status == 503
        answer = await gate.ask("a/m")
        assert (answer.status, answer.headers["x-shareai-target"]) == (200, "a/m")


@pytest.mark.parametrize("code", [404, 410])
async def test_a_model_that_is_not_there_puts_its_target_aside(code: int) -> None:
    """The target is not asked again before its time; another model of that provider is."""
    async with two_targets([status(code)]) as (gate, _a, _b):
        assert (await gate.ask()).headers["x-shareai-attempts"] == "2"
        assert (await gate.ask()).headers["x-shareai-attempts"] == "1"
        assert (await gate.ask("a/other")).headers["x-shareai-target"] == "a/other"
        gate.pass_time(ASIDE_SECONDS)
        assert (await gate.ask()).headers["x-shareai-target"] == "a/m"


async def test_a_model_that_no_target_has_is_unknown() -> None:
    """Retrying is useless, now and while the targets are put aside; one other failure makes it a 503."""
    async with two_targets([status(404)], [status(410)]) as (gate, a, b):
        for asked in (1, 1):
            answer = await gate.ask()
            assert (answer.status, answer.error["code"]) == (404, "model_not_found")
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers
            assert (len(a.completions), len(b.completions)) == (asked, asked)
        assert [entry.outcome for entry in gate.ledger.closed_entries] == [Outcome.REFUSED] * 2
    async with two_targets([status(404)], [status(500)]) as (gate, a, b):
        assert (await gate.ask()).status == 503


async def test_a_spent_quota_is_said() -> None:
    """In the refusal and, once, to whoever watches."""
    async with FaultUpstream(default=quota_exhausted()) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m")
        assert "a/m: the quota is spent (HTTP 429)" in answer.error["message"]
        await gate.ask("a/m")
        [notice] = gate.notices
        assert notice.startswith(
            f"The key {fingerprint('a')} of provider 'a' is put aside for 15 min: the quota"
        )


# -- nothing left


async def test_when_no_target_could_answer_the_refusal_says_why() -> None:
    """503 with Retry-After, each target's reason, and nothing that tells clients not to retry."""
    async with two_targets([status(500)], [error_in_200()]) as (gate, _a, _b):
        answer = await gate.ask()
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert "x-should-retry" not in answer.headers
        assert "x-shareai-target" not in answer.headers
        assert answer.headers["x-shareai-attempts"] == "2"
        assert answer.error["code"] == "no_target_available"
        assert "a/m: HTTP 500" in answer.error["message"]
        assert "b/m: no completion in the body of its 2xx" in answer.error["message"]
        entry = gate.closed
        assert (entry.outcome, entry.status, entry.target) == (Outcome.FAILED, 503, "b/m")


async def test_when_all_are_left_alone_nobody_is_asked() -> None:
    """The refusal says until when: the first that returns, here the one of the two that cools less."""
    async with two_targets(
        always=rate_limited(Retry_After="90"), always_second=rate_limited(Retry_After="40")
    ) as (gate, a, b):
        first = await gate.ask()
        assert (first.status, first.headers["retry-after"]) == (503, "40")
        gate.pass_time(10)
        second = await gate.ask()
        assert (second.status, second.headers["retry-after"]) == (503, "30")
        assert "HTTP 429" in second.error["message"]
        assert "x-shareai-attempts" not in second.headers
        assert (len(a.completions), len(b.completions)) == (1, 1)


async def test_a_target_whose_keys_cool_is_left_alone_though_it_was_ejected() -> None:
    """Without a key that may be used there is nothing to try, and the time said is the keys'."""
    script = [status(500)] * EJECT_AFTER + [rate_limited(Retry_After="50")]
    async with FaultUpstream(script) as a, Gate({"a": a}) as gate:
        for _ in range(EJECT_AFTER + 1):
            await gate.ask("a/m")
        answer = await gate.ask("a/m")
        assert (answer.status, answer.headers["retry-after"]) == (503, "50")
        assert len(a.completions) == EJECT_AFTER + 1


# -- budgets


async def test_a_request_has_a_budget_of_attempts() -> None:
    """However many targets a route has."""
    targets = [f"a/m{number}" for number in range(MOST_ATTEMPTS + 5)]
    async with FaultUpstream(default=status(500)) as a, Gate({"a": a}, routes={"chat": targets}) as gate:
        answer = await gate.ask()
        assert answer.headers["x-shareai-attempts"] == str(MOST_ATTEMPTS)
        assert len(a.completions) == MOST_ATTEMPTS


async def test_a_request_has_a_budget_of_time() -> None:
    """What the first targets used up, the next ones do not have: the last answers within it or never."""
    async with (
        FaultUpstream([silence()]) as a,
        FaultUpstream([silence()]) as b,
        FaultUpstream() as c,
        Gate(
            {"a": a, "b": b, "c": c}, routes={"chat": ["a/m", "b/m", "c/m"]}, timeouts=TimeLimits(total=400)
        ) as gate,
    ):
        asking = asyncio.get_running_loop().create_task(gate.ask())
        await until(lambda: a.completions)
        gate.pass_time(400)
        await until(lambda: b.completions)
        gate.pass_time(TOTAL_SECONDS - 400)
        answer = await asking
        assert (answer.status, answer.headers["x-shareai-attempts"]) == (503, "2")
        assert not c.requests


async def test_the_first_target_has_all_the_time_that_its_provider_was_given() -> None:
    """A limit that somebody raised for a slow provider holds; the budget is for those after it."""
    go_on = asyncio.Event()
    slow = chat().stall(until=go_on)
    limits = TimeLimits(total=TOTAL_SECONDS + 300)
    async with FaultUpstream([slow]) as a, Gate({"a": a}, timeouts=limits) as gate:
        asking = asyncio.get_running_loop().create_task(gate.ask("a/m"))
        await until(lambda: a.completions)
        gate.pass_time(TOTAL_SECONDS + 299)
        go_on.set()
        assert (await asking).status == 200


async def test_retries_of_failing_targets_stay_within_a_budget() -> None:
    """In an outage of everything the first target is asked by each request, the second by a few."""
    async with two_targets(always=status(500), always_second=status(500)) as (gate, a, b):
        for _ in range(30):
            assert (await gate.ask()).status == 503
        assert len(a.completions) + len(b.completions) <= 30 + EJECT_AFTER + LEAST


async def test_a_target_that_is_well_can_always_be_moved_on_to() -> None:
    """The budget bounds what makes an outage worse; a healthy target is no part of that."""
    async with two_targets(always=status(500)) as (gate, _a, _b):
        answers = await asyncio.gather(*(gate.ask() for _ in range(40)))
        assert {one.status for one in answers} == {200}


# -- several keys


@both_forms
async def test_keys_take_turns(streamed: bool) -> None:
    """Each request begins with the next key."""
    async with FaultUpstream() as a, Gate({"a": a}, keys={"a": 3}) as gate:
        for _ in range(6):
            await gate.ask("a/m", stream=streamed)
        used = [one.key for one in a.completions]
        assert sorted(used[:3]) == sorted(used[3:]) == [provider_key("a", number) for number in (1, 2, 3)]
        assert {entry.provider_key for entry in gate.ledger.closed_entries} == {
            fingerprint("a", number) for number in (1, 2, 3)
        }


@both_forms
@pytest.mark.parametrize(
    ("refusal", "everywhere"),
    [
        (status(401), True),
        (status(402), True),
        (quota_exhausted(), True),
        (quota_exhausted(400), True),
        (rate_limited(Retry_After="60"), False),
    ],
    ids=["401", "402", "quota", "quota in a 400", "429"],
)
async def test_a_key_that_is_refused_is_left_alone(
    streamed: bool, refusal: Behaviour, everywhere: bool
) -> None:
    """The next key is asked at once; the refused one is left alone, for this model or for all of them."""
    async with FaultUpstream([refusal]) as a, Gate({"a": a}, keys={"a": 2}) as gate:
        answer = await gate.ask("a/m", stream=streamed)
        assert (answer.status, answer.headers["x-shareai-attempts"]) == (200, "2")
        refused, other = (one.key for one in a.completions)
        assert refused != other
        for _ in range(4):
            await gate.ask("a/m", stream=streamed)
        assert {one.key for one in a.completions[2:]} == {other}
        for _ in range(4):
            await gate.ask("a/another", stream=streamed)
        assert (refused in {one.key for one in a.completions[6:]}) is not everywhere
        gate.pass_time(ASIDE_SECONDS)
        for _ in range(2):
            await gate.ask("a/m", stream=streamed)
        assert {one.key for one in a.completions[10:]} == {refused, other}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "60"}, 60),
        ({"Retry_After": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"Retry_After": "86400"}, 3600),
        ({}, 5),
    ],
    ids=["seconds", "date", "milliseconds", "a day", "none"],
)
async def test_a_rate_limited_key_cools_as_long_as_it_was_told(
    headers: dict[str, str], seconds: float
) -> None:
    """And no longer; an hour at the most."""
    async with two_targets([rate_limited(**headers)]) as (gate, _a, _b):
        assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        gate.pass_time(seconds - 0.5)
        assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        gate.pass_time(0.5)
        assert (await gate.ask()).headers["x-shareai-target"] == "a/m"


async def test_a_key_that_is_forbidden_moves_on_and_is_put_aside_after_three_requests() -> None:
    """One 403 may be about what one request asked for; three different ones are about the key."""
    async with two_targets(always=status(403)) as (gate, a, _b):
        for _ in range(5):
            assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        assert len(a.completions) == 3


# -- this machine's own models


async def test_own_models_are_targets_like_any_other() -> None:
    """The agent is asked with its secret; one that is not there is replaced, and said in the accounts."""
    async with (
        FaultUpstream() as agent,
        FaultUpstream() as a,
        Gate({"a": a}, routes={"chat": ["node/tiny", "a/m"]}) as gate,
    ):
        missing = await gate.ask()
        assert missing.headers["x-shareai-target"] == "a/m"
        assert [one.outcome for one in gate.closed.attempts] == ["refused", "ok"]
        gate.fleet.serve(agent, "tiny")
        found = await gate.ask()
        assert found.headers["x-shareai-target"] == "node/tiny"
        assert agent.completions[0].key == provider_key("node")
        assert agent.completions[0].json["model"] == "tiny"


async def test_an_agent_that_was_started_again_is_found_where_it_is_now() -> None:
    """Its port changes; the connections to the former one are let go."""
    async with FaultUpstream() as first, FaultUpstream() as second, Gate({}) as gate:
        gate.fleet.serve(first, "tiny")
        assert (await gate.ask("node/tiny")).status == 200
        gate.fleet.serve(second, "tiny")
        assert (await gate.ask("node/tiny")).status == 200
        assert (len(first.completions), len(second.completions)) == (1, 1)
        await until(lambda: first.open == 0)


async def test_without_an_agent_an_own_model_is_a_503_that_says_so() -> None:
    """No traceback, no endless wait."""
    async with Gate({}) as gate:
        answer = await gate.ask("node/tiny")
        assert answer.status == 503
        assert "The node agent is not running" in answer.error["message"]


# -- changes while running


async def test_a_changed_configuration_holds_for_the_next_request() -> None:
    """A provider that was taken out is unknown; one that stays keeps its connections."""
    async with FaultUpstream() as a, FaultUpstream() as b, Gate({"a": a, "b": b}) as gate:
        await gate.ask("a/m")
        await gate.ask("b/m")
        providers = {"a": gate.settings.providers["a"]}
        await gate.gateway.replace(type(gate.settings)(providers=providers))
        assert (await gate.ask("a/m")).status == 200
        assert a.accepted == 1
        assert (await gate.ask("b/m")).status == 404
        await until(lambda: b.open == 0)


async def test_usage_of_the_target_that_answered_is_what_counts() -> None:
    """Not that of one that failed before."""
    failed = reply(b'{"error": {"message": "no"}, "usage": {"prompt_tokens": 99, "completion_tokens": 99}}')
    async with two_targets([failed], [chat(usage=(3, 4))]) as (gate, _a, _b):
        await gate.ask()
        assert gate.closed.usage == Usage(3, 0, 0, 4, 0)
        assert gate.closed.price_as == "priced-b"

"""Drills beside production: neither of them notices the other, and nobody drills without the admin key."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from shareai_cli.config import CacheSettings, Egress
from shareai_cli.drill_types import DRILL_HEADER, Deadlines, Fault, Scenario, ScenarioWanted
from shareai_cli.errors import Overloaded, UsageError
from shareai_cli.gateway.drills import Drills
from shareai_cli.gateway.drills.drills import IN_A_ROW, LASTING, MOST_DRILLS, MOST_SCENARIOS
from shareai_cli.gateway.drills.failing import FailingPool
from shareai_cli.gateway.drills.tokens import Claim, Tokens
from shareai_cli.ledger import drill_id
from shareai_cli.wire.client import Timeouts, parse_base_url
from tests.support.behaviours import chat, rate_limited, silence, status
from tests.support.clock import FakeClock
from tests.support.drilled import Drilled, not_passed
from tests.support.gateway import Gate, chat_body
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

BROKEN = ScenarioWanted("chat", (Fault("error", ("a/m", "b/m")),))


def presenting(scenario: Scenario) -> Mapping[str, str]:
    """Return the headers of a scenario's requests."""
    return {"Authorization": f"Bearer {scenario.key}", DRILL_HEADER: scenario.token}


async def begun(drilled: Drilled, wanted: ScenarioWanted = BROKEN) -> tuple[str, Scenario]:
    """Begin a drill with one scenario."""
    drill = await asyncio.to_thread(drilled.admin.begin_drill)
    return drill, await asyncio.to_thread(drilled.admin.add_scenario, drill, wanted)


def two(tmp_path: Path, a: FaultUpstream, b: FaultUpstream) -> Drilled:
    """Return a gateway with a route over two providers, which keeps replies."""
    return Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, cache=CacheSettings(60.0))


async def test_only_a_token_leads_to_faults(tmp_path: Path) -> None:
    """Without one, with one that is forged, of another gateway or of no use: a request as any other."""
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        _, scenario = await begun(drilled)
        faulty = await drilled.ask(headers=presenting(scenario))
        assert faulty.status_code == 503
        assert (a.completions, b.completions) == ([], [])
        packed = bytearray(urlsafe_b64decode(scenario.token))
        packed[9] ^= 1
        stranger = Tokens(FakeClock()).sign(Claim(1, 1), 60.0)
        forged = urlsafe_b64encode(packed).decode()
        for token in (forged, stranger, "", "x", "=" * 2000, "ä", scenario.token[:-4]):
            headers = {DRILL_HEADER: token.encode()}
            answer = await drilled.http.post(
                "/v1/chat/completions",
                content=chat_body("chat", seed=len(a.completions)),
                headers={
                    b"authorization": f"Bearer {drilled.key}".encode(),
                    b"content-type": b"application/json",
                }
                | {DRILL_HEADER.encode(): headers[DRILL_HEADER]},
            )
            assert (answer.status_code, answer.headers["x-shareai-target"]) == (200, "a/m")
            assert (await drilled.ask(headers={**presenting(scenario), DRILL_HEADER: "x"})).status_code == 401


async def test_a_clients_key_opens_no_part_of_the_admin_interface_of_drills(tmp_path: Path) -> None:
    """Nobody begins a drill, or sets a scenario up, without the admin token."""
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        drill, _ = await begun(drilled)
        for method, path in (
            ("POST", "/drills"), ("POST", "/drills/subjects"), ("POST", f"/drills/{drill}/scenarios"),
            ("DELETE", f"/drills/{drill}"), ("GET", "/drills/history"), ("POST", "/drills/history"),
            ("PUT", f"/drills/{drill}/scenarios/1/faults"), ("POST", f"/drills/{drill}/scenarios/1/explain"),
        ):  # fmt: skip
            refused = await drilled.http.request(
                method, f"/admin/v1{path}", headers={"Authorization": f"Bearer {drilled.key}"}, content=b"{}"
            )
            assert refused.status_code == 401


async def test_the_key_of_a_scenario_is_good_for_its_requests_alone(tmp_path: Path) -> None:
    """It opens nothing else; and a client's key does not open a scenario."""
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        _, scenario = await begun(drilled)
        key = {"Authorization": f"Bearer {scenario.key}"}
        assert (await drilled.ask(headers=key)).status_code == 401
        assert (await drilled.http.get("/v1/models", headers=key)).status_code == 401
        assert (await drilled.ask(headers={DRILL_HEADER: scenario.token})).status_code == 401


async def test_a_drill_that_has_ended_is_as_if_it_never_was(tmp_path: Path) -> None:
    """Its token means nothing any more, its connections are closed, and ending it twice is told."""
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        drill, scenario = await begun(drilled)
        assert "[1]" in repr(drilled.gateway.drills)
        await asyncio.to_thread(drilled.admin.end_drill, drill)
        assert not drilled.gateway.drills.are_on
        answer = await drilled.ask(headers={DRILL_HEADER: scenario.token})
        assert answer.headers["x-shareai-target"] == "a/m"
        with pytest.raises(UsageError, match="no drill"):
            await asyncio.to_thread(drilled.admin.end_drill, drill)
        with pytest.raises(UsageError, match="no drill"):
            await asyncio.to_thread(drilled.admin.add_scenario, drill, BROKEN)
        _, again = await begun(drilled)
        assert (await drilled.ask(headers=presenting(again))).status_code == 503


async def test_a_drill_changes_nothing_of_production(tmp_path: Path) -> None:
    """Health, cache, counters, reports and the latest request are as before; only the audit tells of it."""
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        gateway = drilled.gateway
        report = await drilled.drill()
        assert not_passed(report) == []
        assert gateway.health.untroubled
        assert (gateway.requests, gateway.in_flight, gateway.keys.refused) == (0, 0, 0)
        assert [(one.hits, one.misses, one.replies) for one in await gateway.cache.use()] == [(0, 0, 0)]
        assert drilled.observed == []
        assert (await asyncio.to_thread(drilled.admin.usage, None, None)).total.requests == 0
        with pytest.raises(UsageError, match="no requests"):
            await asyncio.to_thread(drilled.admin.request, "last")
        rows = await asyncio.to_thread(drilled.admin.audit, 10)
        assert [row.action for row in rows] == ["key.create", "drill.begin", "drill.begin"]


async def test_a_drill_is_marked_from_its_first_entry_on(tmp_path: Path) -> None:
    """So that a process that is killed meanwhile leaves rows that are the drill's all the same."""
    async with FaultUpstream(default=silence()) as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        _, scenario = await begun(drilled, ScenarioWanted("chat"))
        asking = asyncio.get_running_loop().create_task(drilled.ask(headers=presenting(scenario)))
        await until(lambda: a.completions)
        await drilled.ledger.settled()
        [entry] = drilled.ledger.under_way()
        asking.cancel()
        await asyncio.wait({asking})
        assert entry.drill


async def test_what_production_holds_against_targets_is_not_read(tmp_path: Path) -> None:
    """A target that rests there is asked here, as it may be well again."""
    async with (
        FaultUpstream([rate_limited(Retry_After="60")]) as a,
        FaultUpstream() as b,
        two(tmp_path, a, b) as drilled,
    ):
        assert (await drilled.ask()).headers["x-shareai-target"] == "b/m"
        assert not drilled.gateway.health.untroubled
        assert not_passed(await drilled.drill("answers")) == []
        again = await drilled.ask(seed=1)
        assert (again.headers["x-shareai-target"], again.headers["x-shareai-attempts"]) == ("b/m", "1")


async def test_other_clients_notice_nothing_while_drills_are_run(tmp_path: Path) -> None:
    """Under load: each of their requests is answered by the first target at once, and is in the report."""
    async with (
        FaultUpstream(default=chat("Hello from a.")) as a,
        FaultUpstream(default=chat("Hello from b.")) as b,
        two(tmp_path, a, b) as drilled,
    ):
        answers: list[httpx.Response] = []
        over = asyncio.Event()

        async def load(client: int) -> None:
            number = 0
            while not over.is_set():
                number += 1
                answers.append(await drilled.ask(seed=client * 100_000 + number, stream=bool(number % 2)))

        async with asyncio.TaskGroup() as group:
            for client in range(4):
                group.create_task(load(client))
            report, other = await asyncio.gather(drilled.drill(), drilled.drill("failover"))
            over.set()
        assert not_passed(report) == not_passed(other) == []
        assert len(answers) > 100
        seen = {
            (one.status_code, one.headers["x-shareai-target"], one.headers["x-shareai-attempts"])
            for one in answers
        }
        assert seen == {(200, "a/m", "1")}
        assert all("Hello" in one.text and "[DONE]" in one.text for one in answers if "data:" in one.text)
        total = (await asyncio.to_thread(drilled.admin.usage, None, None)).total
        assert (total.requests, total.failed, total.incomplete) == (len(answers), 0, 0)
        assert drilled.gateway.health.untroubled


async def test_no_word_of_a_request_and_no_key_goes_to_a_provider_that_fails(tmp_path: Path) -> None:
    """What a fault is for goes to no provider, and what fails in its place is told how, and no more."""
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        pool = drilled.make_pool(parse_base_url(b.base_url)[0], Egress())
        failing = FailingPool(pool, "error/stream", None)
        await failing.send(b"POST / HTTP/1.1\r\nAuthorization: secret\r\n", b"secret", Timeouts(5, 5, 5))
        [received] = b.requests
        assert (received.path, received.body) == ("/error/stream", b"")
        assert set(received.headers) == {"host", "content-length"}
        await pool.close()


def test_tokens_are_valid_for_a_while() -> None:
    """And not longer; nor for another gateway."""
    clock = FakeClock()
    tokens = Tokens(clock)
    token = tokens.sign(Claim(5, 6), 60.0).encode()
    assert tokens.read(token) == Claim(5, 6)
    assert Tokens(clock).read(token) is None
    clock.forward(60.0)
    assert tokens.read(token) is None


async def test_a_drill_lasts_as_long_as_its_parts(tmp_path: Path) -> None:
    """Whose requests are reported by themselves; a part of a drill that is over cannot begin."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m"]}) as gate:
        drills = gate.gateway.drills
        whole = await drills.begin()
        part = await drills.begin(whole)
        for _ in range(3):
            gate.pass_time(LASTING - 1)
            await drills.add(part, ScenarioWanted("chat"))
        gate.pass_time(LASTING - 1)
        await asyncio.sleep(0.3)
        await drills.add(whole, ScenarioWanted("chat"))
        await drills.end(whole)
        with pytest.raises(UsageError, match="no drill"):
            await drills.begin(whole)
        await drills.end(part)
        assert not drills.are_on


async def test_a_patient_drill_has_tokens_that_last(tmp_path: Path) -> None:
    """As long as a scenario with slow answers may take."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m"]}) as gate:
        drill = await gate.gateway.drills.begin()
        hasty = await gate.gateway.drills.add(drill, ScenarioWanted(deadlines=Deadlines(answer=5.0)))
        patient = await gate.gateway.drills.add(drill, ScenarioWanted(deadlines=Deadlines(answer=600.0)))
    assert (hasty.seconds, patient.seconds) == (LASTING, IN_A_ROW * 600.0)


async def test_the_faults_of_a_scenario_can_be_changed(tmp_path: Path) -> None:
    """What it knows of its targets stays; where a request would go is told by that, not by production's."""
    question = chat_body("chat")
    async with FaultUpstream() as a, FaultUpstream() as b, two(tmp_path, a, b) as drilled:
        drill, scenario = await begun(drilled, ScenarioWanted("chat", (Fault("rate-limited", ("a/m",)),)))
        assert (await drilled.ask(headers=presenting(scenario))).headers["x-shareai-target"] == "b/m"
        told = await asyncio.to_thread(drilled.admin.explain_scenario, drill, scenario.number, question)
        assert [one.target for one in told.targets if one.place is not None] == ["b/m"]
        told = await asyncio.to_thread(drilled.admin.explain_route, question)
        assert [one.target for one in told.targets if one.place is not None] == ["a/m", "b/m"]
        broken = [Fault("error", ("b/m",))]
        await asyncio.to_thread(drilled.admin.fail_scenario, drill, scenario.number, broken)
        answer = await drilled.ask(headers=presenting(scenario), seed=1)
        assert (answer.status_code, a.completions) == (503, [])
        await asyncio.to_thread(drilled.admin.fail_scenario, drill, scenario.number, [])
        assert (await drilled.ask(headers=presenting(scenario), seed=2)).status_code == 200
        with pytest.raises(UsageError, match="no scenario 9"):
            await asyncio.to_thread(drilled.admin.fail_scenario, drill, 9, [])


async def test_a_drill_that_nobody_goes_on_with_ends_by_itself() -> None:
    """A command that was killed leaves nothing behind for long."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m"]}) as gate:
        drills = gate.gateway.drills
        await drills.begin()
        gate.pass_time(LASTING + 1)
        await until(lambda: not drills.are_on)
        again = await drills.begin()
        gate.pass_time(LASTING - 1)
        await drills.add(again, ScenarioWanted("chat"))
        gate.pass_time(LASTING - 1)
        await asyncio.sleep(0.3)
        assert drills.are_on


async def test_drills_are_bounded() -> None:
    """Only so many at a time, each with only so many scenarios; unknown routes and targets are told."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m"]}) as gate:
        drills: Drills = gate.gateway.drills
        first, *_ = [await drills.begin() for _ in range(MOST_DRILLS)]
        with pytest.raises(Overloaded):
            await drills.begin()
        for _ in range(MOST_SCENARIOS):
            scenario = await drills.add(first, ScenarioWanted())
        with pytest.raises(UsageError, match="too many scenarios"):
            await drills.add(first, ScenarioWanted())
        await drills.drop(first, scenario.number)
        with pytest.raises(UsageError, match="no scenario"):
            drills.standings(first, scenario.number)
        with pytest.raises(UsageError, match="no route 'chta'"):
            await drills.add(first, ScenarioWanted("chta"))
        with pytest.raises(UsageError, match="no drill"):
            await drills.end(drill_id(1))
        with pytest.raises(UsageError, match="no target 'aa/m'"):
            await drills.subjects(["aa/m"])
        subjects = await drills.subjects(["a/other"])
        assert [one.name for one in subjects.targets] == ["a/m", "a/other"]


async def test_a_configuration_may_change_while_a_drill_is_run(tmp_path: Path) -> None:
    """A scenario goes on with what was in force as it began, the next one with what is now."""
    async with (
        FaultUpstream(default=chat("Hello from a.")) as a,
        FaultUpstream(default=status(500)) as b,
        two(tmp_path, a, b) as drilled,
    ):
        drill, before = await begun(drilled, ScenarioWanted("chat"))
        without = replace(drilled.settings, routes={})
        await drilled.gateway.replace(without)
        assert (await drilled.ask(headers=presenting(before))).status_code == 200
        with pytest.raises(UsageError, match="no route"):
            await asyncio.to_thread(drilled.admin.add_scenario, drill, ScenarioWanted("chat"))

"""`shareai smoke-test` as a person and as continuous integration run it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import pytest_asyncio

from tests.support.behaviours import Behaviour, Received, chat, status
from tests.support.commands import shareai
from tests.support.served import KEYS, RunningGateway, run_shareai, shareai_here
from tests.support.signatures import verify
from tests.support.terminal import terminal
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

MODEL = "gpt-4o-mini"
ALL = {"answers", "failover", "cost", "cache", "limits"}


def priced(*base_urls: str) -> str:
    """Return a configuration: the route `chat` over p1, p2..., whose prices are known."""
    names = [f"p{number}" for number, _ in enumerate(base_urls, 1)]
    providers = [
        f'[providers.{name}]\nbase_url = "{url}"\nkeys = ["env:{name.upper()}_KEY"]\nprice_as = "openai"\n'
        for name, url in zip(names, base_urls, strict=True)
    ]
    targets = ", ".join(f'"{name}/{MODEL}"' for name in names)
    return "\n".join([*providers, f'[routes.chat]\ntargets = [{targets}]\ncache = "5m"\n'])


class Shared(NamedTuple):
    """A gateway with two providers that answer."""

    gateway: RunningGateway
    a: FaultUpstream
    b: FaultUpstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """Run one gateway for every test that leaves it as it is."""
    home = tmp_path_factory.mktemp("home")
    async with (
        FaultUpstream(default=chat("Hello from a.")) as a,
        FaultUpstream(default=chat("Hello from b.")) as b,
        await RunningGateway.start(home, priced(a.base_url, b.base_url), environ=KEYS) as gateway,
    ):
        yield Shared(gateway, a, b)


def test_a_newcomer_without_keys_sees_all_of_it_pass(tmp_path: Path) -> None:
    """In less than twenty seconds: bars and findings that go away, a report, a file for CI, and a page."""
    junit, page = tmp_path / "report.xml", tmp_path / "report.html"
    arguments = ("smoke-test", "--simulate", "--junit", str(junit), "--html", str(page))
    began = time.monotonic()
    with terminal(*arguments, environ={"SHAREAI_HOME": str(tmp_path / "home")}) as running:
        running.until("failover")
        running.until("0 failed")
        running.until("Failovers")
        assert running.end() == 0, running.text
    assert time.monotonic() - began < 20
    assert "passed: " in running.text
    assert "alpha/gpt-4o-mini HTTP 500" in running.text
    assert "Traceback" not in running.text
    assert not (tmp_path / "home").exists()
    suites = ElementTree.parse(junit).getroot()
    assert {suite.get("name") for suite in suites} == ALL
    assert (suites.get("failures"), suites.get("errors")) == ("0", "0")
    text = page.read_text()
    assert "alpha/gpt-4o-mini" in text
    assert not any(word in text for word in ("<script", "src=", "href=", "@import", "url("))


async def run(gateway: RunningGateway, *arguments: str) -> tuple[int, dict[str, object]]:
    outcome = await gateway.shareai("smoke-test", "--json", *arguments)
    assert "Traceback" not in outcome.err
    return outcome.code, outcome.json


@pytest.mark.asyncio(loop_scope="module")
async def test_a_running_gateway_is_drilled(shared: Shared) -> None:
    """Everything passes, the history has it, and clients' reports and the latest request do not."""
    gateway = shared.gateway
    code, told = await run(gateway, "--yes", "--only", "limits,cost,answers,cache")
    assert (code, told["verdict"]) == (0, "passed")
    findings = told["findings"]
    assert isinstance(findings, list)
    assert {one["check"] for one in findings} == ALL - {"failover"}
    assert (await gateway.shareai("usage", "--json")).json["total"]["requests"] == 0
    assert (await gateway.shareai("explain", "last")).code == 2
    request = next(one["requests"][-1]["id"] for one in findings if one["case"] == "requests at once")
    explained = (await gateway.shareai("explain", request, "--json")).json["request"]
    assert [one["status"] for one in explained["attempts"]] == [500]
    drill = (await gateway.shareai("drill", "history", "--json")).json["drills"][0]
    assert (drill["id"], drill["verdict"], drill["report"]["id"]) == (told["id"], "passed", told["id"])
    asked = {one.key for one in shared.a.completions + shared.b.completions}
    assert asked <= set(KEYS.values())


async def test_what_failed_and_what_could_not_be_run_are_told_apart(tmp_path: Path) -> None:
    """A target that is down fails its own check (1) and leaves its cost unknown (6); a change is seen."""
    behaviour: list[Behaviour] = [status(500)]

    def answer(request: Received) -> Behaviour:
        return behaviour[-1]

    async with (
        FaultUpstream(default=chat()) as a,
        FaultUpstream(default=answer) as b,
        await RunningGateway.start(tmp_path, priced(a.base_url, b.base_url), environ=KEYS) as gateway,
    ):
        outcome = await gateway.shareai("smoke-test", "--yes", "--only", "answers")
        assert outcome.code == 1
        assert "\x1b" not in outcome.out + outcome.err
        assert "FAILED: answers, p2/gpt-4o-mini, whole" in outcome.out
        assert "  expected: 200 with a complete answer" in outcome.out
        assert "  happened: HTTP 503: no_target_available" in outcome.out
        assert "  look at: shareai provider test p2" in outcome.out
        code, told = await run(gateway, "--yes", "--only", "cost")
        assert (code, told["verdict"]) == (6, "partly")
        behaviour.append(chat())
        assert (await run(gateway, "--yes", "--only", "answers"))[0] == 0
        history = (await gateway.shareai("drill", "history")).out.splitlines()
        shown = await gateway.shareai("drill", "show")
        [_, _, failed] = (await gateway.shareai("drill", "history", "--json")).json["drills"]
        former = await gateway.shareai("drill", "show", failed["id"])
    assert "answers p2/gpt-4o-mini, whole: failed -> passed" in history[1]
    assert [line.split()[4] for line in history[1:]] == ["passed", "partly", "failed"]
    assert shown.out.endswith(": passed\n")
    assert "failed: answers p2/gpt-4o-mini, whole\n  expected: 200 with a complete answer" in former.out


async def test_the_webhook_is_told_of_a_drill_that_ends_otherwise_than_before(tmp_path: Path) -> None:
    """Signed: of the first that fails, not of one that ends the same, and of the one that passes again.

    Not of those that a person starts, who sees how they end.
    """
    behaviour: list[Behaviour] = [chat()]

    def answer(request: Received) -> Behaviour:
        return behaviour[-1]

    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    async with FaultUpstream(default=answer) as a, FaultUpstream(default=status(204)) as receiver:
        hook = f'\n[webhook]\nurl = "{receiver.origin}/told"\nsecret = "env:HOOK_SECRET"\n'
        environ = {**KEYS, "HOOK_SECRET": secret}
        config = priced(a.base_url) + hook
        async with await RunningGateway.start(tmp_path, config, environ=environ) as gateway:
            for one in (chat(), status(500), status(500), chat()):
                behaviour.append(one)
                await run(gateway, "--yes", "--only", "answers")
                await run(gateway, "--yes", "--only", "answers", "--cause", "nightly")
            await until(lambda: len(receiver.requests) >= 2)
    told = []
    for request in receiver.requests:
        verify(request, secret)
        told.append((request.json["type"], request.json["data"]["drill"], request.json["data"]["verdict"]))
    assert told == [("drill.changed", "nightly", "failed"), ("drill.changed", "nightly", "passed")]


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_is_spent_without_a_word(shared: Shared) -> None:
    """Where nobody can be asked, only --yes spends money, and never what --max-cost does not allow."""
    gateway, a, b = shared
    before = len(a.completions + b.completions)
    refused = await gateway.shareai("smoke-test")
    assert (refused.code, refused.out) == (2, "")
    assert "about 0.00" in refused.err
    assert "--yes" in refused.err
    for arguments, told in (((), "requests would cost about"), (("--only", "cost"), "One request may cost")):
        too_much = await gateway.shareai("smoke-test", "--yes", "--max-cost", "0.00015", *arguments)
        assert too_much.code == 2
        assert told in too_much.err
        assert "more than --max-cost allows" in too_much.err
    assert len(a.completions + b.completions) == before


@pytest.mark.asyncio(loop_scope="module")
async def test_a_part_of_it_can_be_chosen(shared: Shared) -> None:
    """A target that no route has, a route, some checks; several times."""
    gateway, a, b = shared
    before = len(a.completions), len(b.completions)
    code, told = await run(gateway, "--yes", "--target", "p2/gpt-4o", "--repeat", "2")
    assert code == 0
    assert isinstance(told["findings"], list)
    subjects = [(one["check"], one["subject"], one["case"]) for one in told["findings"]]
    part = [
        ("answers", "p2/gpt-4o", "whole"),
        ("answers", "p2/gpt-4o", "streamed"),
        ("cost", "p2/gpt-4o", "tokens and cost"),
        ("cost", "all of them", "the usage report"),
        ("limits", "p2/gpt-4o", "a burst"),
        ("limits", "p2/gpt-4o", "too many tokens"),
        ("limits", "p2/gpt-4o", "requests at once"),
        ("limits", "budget", "a budget that is spent"),
    ]
    assert subjects == part * 2
    assert (len(a.completions), len(b.completions)) == (before[0], before[1] + 10)
    code, told = await run(gateway, "chat", "--yes", "--only", "cache")
    assert code == 0
    assert told["counts"] == {"passed": 5, "failed": 0, "blocked": 0, "skipped": 0}


async def test_a_gateway_is_started_where_none_runs_and_ends_with_the_command(tmp_path: Path) -> None:
    """With the configuration that is there; the history is kept."""
    async with FaultUpstream(default=chat()) as a:
        home = tmp_path / "home"
        home.mkdir()
        (home / "config.toml").write_text(priced(a.base_url))
        outcome = await run_shareai(home, "smoke-test", "--yes", "--only", "answers", environ=KEYS)
        assert outcome.code == 0, outcome.err
        assert "one was started for this smoke test" in outcome.err
        assert not (home / "state" / "gateway.json").exists()
        [drill] = (await shareai_here(home, "drill", "history", "--json")).json["drills"]
        assert drill["verdict"] == "passed"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("--only", "answer"), "Did you mean 'answers'?"),
        (("--only", ","), "--only names no check."),
        (("--html", "/nowhere/report.html"), "There is no folder /nowhere"),
        (("--simulate", "chat"), "--simulate drills a route of its own."),
        (("chta",), "Did you mean 'chat'?"),
        (("--target", "p3/x"), "Did you mean the provider"),
        (("--target", "chat"), "There is no target 'chat'."),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_mistakes_are_told(shared: Shared, arguments: Sequence[str], told: str) -> None:
    """With exit code 2, and what was probably meant."""
    outcome = await shared.gateway.shareai("smoke-test", "--yes", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err


def test_a_history_without_drills_says_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr, as it is no data."""
    monkeypatch.setenv("SHAREAI_HOME", str(tmp_path))
    outcome = shareai("drill", "history")
    assert (outcome.code, outcome.out) == (0, "")
    assert "shareai smoke-test" in outcome.err


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_is_asked_before_money_is_spent(shared: Shared) -> None:
    """At a terminal; one that can do little shows the report alone."""

    def decline() -> None:
        with terminal("smoke-test", environ=environ) as asking:
            asking.until("Go on? [Y/n]")
            asking.type("n\r")
            assert asking.end() == 1
        assert "Nothing was sent." in asking.text

    def look_on() -> None:
        with terminal("smoke-test", "--yes", "--only", "cost", environ={**environ, "TERM": "dumb"}) as dumb:
            assert dumb.end() == 0
        assert "\x1b" not in dumb.raw

    environ = {"SHAREAI_HOME": str(shared.gateway.home)}
    await asyncio.gather(asyncio.to_thread(decline), asyncio.to_thread(look_on))

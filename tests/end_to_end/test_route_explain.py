"""`shareai route explain`, with a gateway that runs and without one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.behaviours import chat, status
from tests.support.served import KEYS, RunningGateway, one_route, shareai_here
from tests.support.upstream import FaultUpstream

ROUTE = """
[routes.smart]
strategy = "cheapest"
hedge = "5s"
targets = ["p1/gpt-5-mini", {target = "p1/gpt-4o", context = 2000}, {target = "p2/m1", tools = false},
           {target = "p2/m2", price = {prompt = 0.01, completion = 0.02}}]

[limits.organization]
requests_per_day = 9
soft_budget_per_day = "5 USD"
"""
PRICED = 'price_as = "openai"'


async def test_a_running_gateway_explains_with_its_live_figures(tmp_path: Path) -> None:
    """The places are those that requests meet; the prompt is a text, or a whole request."""
    async with FaultUpstream(default=chat(usage=(20, 40))) as first, FaultUpstream([status(404)]) as second:
        config = one_route(first.base_url, second.base_url, options=PRICED) + ROUTE
        async with await RunningGateway.start(tmp_path / "home", config, environ=KEYS) as gateway:
            answer = await gateway.ask(model="smart")
            assert answer.headers["x-shareai-target"] == "p1/gpt-5-mini"
            assert answer.headers["x-shareai-attempts"] == "2"
            outcome = await gateway.shareai("route", "explain", "smart", "--json")
            assert (outcome.code, outcome.err) == (0, "")
            explained = outcome.json
            assert (explained["running"], explained["strategy"]) == (True, "cheapest")
            assert [(one["target"], one["place"]) for one in explained["targets"]] == [
                ("p1/gpt-5-mini", 1),
                ("p1/gpt-4o", 2),
                ("p2/m1", 3),
                ("p2/m2", None),
            ]
            mini, other, unpriced, gone = explained["targets"]
            assert 0 < mini["cost_nano_usd"] < other["cost_nano_usd"]
            assert mini["tokens_per_second"] > 0
            assert mini["answer_tokens"] == 40
            assert unpriced["cost_nano_usd"] is None
            assert "HTTP 404" in gone["reason"]
            request = tmp_path / "request.json"
            tools = [{"type": "function", "function": {"name": "x", "description": "word " * 2000}}]
            request.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}], "tools": tools}))
            words = await gateway.shareai("route", "explain", "smart", "--prompt", str(request))
            assert "smart: cheapest. The prompt is taken for 25" in words.err
            rows = [line.split(maxsplit=2) for line in words.out.splitlines()]
            assert rows[1][:2] == ["1", "p1/gpt-5-mini"]
            out = {row[1]: row[2] for row in rows if row[0] == "out"}
            assert "has 2000 tokens of context" in out["p1/gpt-4o"]
            assert "cannot do tools" in out["p2/m1"]
            assert (explained["hedge"], explained["limits"]) == (
                {"after": 5.0, "extra": 0.1},
                [
                    {
                        "subject": "organization",
                        "limits": {"requests_per_day": 9, "soft_budget_per_day": "5 USD"},
                    }
                ],
            )
            told = " ".join(words.err.split())
            assert "limits of organization (requests_per_day=9, soft_budget_per_day=5 USD) are asked" in told
            unknown = await gateway.shareai("route", "explain", "smrat")
            assert (unknown.code, unknown.out) == (1, "")
            assert "Did you mean 'smart'?" in unknown.err
            assert len(first.completions) == 1, "explaining sends nothing"


async def test_without_a_gateway_it_says_what_it_rests_on(tmp_path: Path) -> None:
    """Configuration and catalogue, nobody being asked; mistakes help."""
    config = one_route("https://a.example/v1", "https://b.example/v1", options=PRICED) + ROUTE
    (tmp_path / "config.toml").write_text(config)
    outcome = await shareai_here(
        tmp_path, "route", "explain", "smart", "--prompt", "-", stdin=b"word " * 9000
    )
    assert outcome.code == 0
    assert "this is from the configuration and the catalogue" in outcome.err
    told = " ".join(outcome.err.split())
    assert "no answer after 5 s the next one is asked too, in at most 10 % of requests" in told
    rows = [line.split() for line in outcome.out.splitlines()]
    assert rows[0] == ["TARGET", "COST", "CONTEXT", "WHY"]
    assert rows[1][:2] == ["1", "p1/gpt-5-mini"]
    assert [row[1] for row in rows if row[0] == "out"] == ["p1/gpt-4o"]
    assert "its context is not known" in outcome.out
    as_json = await shareai_here(tmp_path, "route", "explain", "smart", "--json")
    assert as_json.json["running"] is False
    missing = await shareai_here(tmp_path, "route", "explain", "smart", "--prompt", str(tmp_path / "no"))
    assert (missing.code, missing.out) == (2, "")
    assert "cannot be read: No such file" in missing.err


async def test_a_changed_strategy_is_taken_up_while_the_gateway_runs(tmp_path: Path) -> None:
    """By `route add`, with whom the route prefers; what it stands for is shown."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url) + ROUTE
        config = config.replace("[providers.p2]\n", '[providers.p2]\nprice_as = "node"\n')
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask()).headers["x-shareai-target"] == "p1/m1"
            added = await gateway.shareai(
                "route", "add", "chat", "p1/m1", "p2/m1", "--strategy", "least-busy", "--prefer", "own"
            )
            assert added.out == "Route chat replaced: least-busy, own first p1/m1, p2/m1.\n"
            assert (await gateway.ask()).headers["x-shareai-target"] == "p2/m1"
            private = await gateway.shareai("route", "add", "safe", "p1/m1", "--private")
            assert private.code == 3
            assert "none of its targets is a machine of your own" in private.err
            await gateway.shareai("route", "add", "safe", "p1/m1", "p2/m1", "--private")
            assert (await gateway.ask(model="safe")).headers["x-shareai-target"] == "p2/m1"

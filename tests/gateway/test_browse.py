"""What a gateway tells of everything that can be asked for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shareai_cli.catalog.facts import FactBook
from shareai_cli.client import LocalProcess
from shareai_cli.gateway.browse import Browser
from shareai_cli.types import LocalModel, ModelInfo, ModelListing
from tests.support.behaviours import Behaviour, html, model_list, reply, status
from tests.support.gateway import NOW, Gate
from tests.support.model_files import LLAMA, model_file
from tests.support.upstream import FaultUpstream, refused_port
from tests.support.waiting import turns


async def listing(gate: Gate) -> ModelListing:
    gateway: Any = gate.gateway
    browser = Browser(gateway.current, gateway.directory, gateway.fleet, FactBook(lambda: NOW), gate.clock)
    return await browser.list_models()


async def models(gate: Gate) -> dict[str, ModelInfo]:
    return {one.id: one for one in (await listing(gate)).models}


def described(*models: dict[str, Any]) -> Behaviour:
    """Answer with a list of models that tells more than their ids."""
    return reply(json.dumps({"object": "list", "data": list(models)}).encode())


async def test_routes_own_models_and_each_providers_are_listed_in_this_order(tmp_path: Path) -> None:
    """Each under the name that a request would give, with where it is served."""
    async with (
        FaultUpstream() as agent,
        FaultUpstream(models=model_list("small", "org/large")) as a,
        FaultUpstream(models=model_list("models/x")) as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/small", "b/elsewhere"]}) as gate,
    ):
        gate.fleet.serve(agent, "tiny")
        found = (await listing(gate)).models
        assert [(one.id, one.kind, one.provider) for one in found] == [
            ("chat", "route", ""),
            ("node/tiny", "local", "node"),
            ("a/org/large", "provider", "a"),
            ("a/small", "provider", "a"),
            ("b/x", "provider", "b"),
            ("b/elsewhere", "provider", "b"),
        ]
        assert found[0].targets == ("a/small", "b/elsewhere")
        assert (found[4].reason, found[5].reason) == ("", "b does not list it.")
        assert {one.state for one in found if one.kind != "local"} == {"serving"}


async def test_what_a_provider_tells_is_passed_on_and_unknown_stays_unknown() -> None:
    """Prices are those of the accounts, which a provider of one's own has none of."""
    async with (
        FaultUpstream(models=model_list("gpt-5-mini", "made-up")) as openai,
        FaultUpstream(
            models=described({"id": "big", "context_length": 512, "supported_parameters": ["tools"]})
        ) as own,
        Gate({"openai": openai, "own": own}, price_as={"openai": "openai", "own": ""}) as gate,
    ):
        found = await models(gate)
        mini, made_up, big = found["openai/gpt-5-mini"], found["openai/made-up"], found["own/big"]
        assert (mini.context, mini.prompt_nano, mini.completion_nano) == (400_000, 250_000_000, 2_000_000_000)
        assert mini.abilities == ("tools", "vision", "reasoning")
        assert (made_up.context, made_up.abilities, made_up.prompt_nano, made_up.completion_nano) == (
            None,
        ) * 4
        assert (big.context, big.abilities, big.prompt_nano) == (512, ("tools",), None)


async def test_a_route_is_as_good_as_the_least_of_its_targets(tmp_path: Path) -> None:
    """The smallest context, the abilities of all, the highest price; unknown where one of them is."""
    async with (
        FaultUpstream(models=described({"id": "gpt-5-mini"}, {"id": "gpt-4o", "context_length": 9})) as a,
        Gate(
            {"a": a},
            routes={"both": ["a/gpt-5-mini", "a/gpt-4o"], "odd": ["a/gpt-5-mini", "a/x"]},
            price_as={"a": "openai"},
        ) as gate,
    ):
        found = await models(gate)
        both, odd = found["both"], found["odd"]
        assert (both.context, both.abilities) == (9, ("tools", "vision"))
        assert (both.prompt_nano, both.completion_nano) == (2_500_000_000, 10_000_000_000)
        assert (odd.context, odd.abilities, odd.prompt_nano, odd.completion_nano) == (None,) * 4


async def test_how_targets_stand_is_told_with_how_long_and_why() -> None:
    """A key that cools, one that is refused, a target that failed too often, one that is not there."""
    async with (
        FaultUpstream([status(429, {"Retry-After": "40"})]) as cooling,
        FaultUpstream([status(401)]) as refused,
        FaultUpstream([status(500)] * 3) as failing,
        FaultUpstream([status(404)]) as gone,
        FaultUpstream(models=model_list("m1", "m2")) as well,
        Gate(
            {"cooling": cooling, "refused": refused, "failing": failing, "gone": gone, "well": well},
            routes={"alone": ["cooling/m1", "failing/m1"], "chat": ["failing/m1", "well/m1"]},
        ) as gate,
    ):
        for name in ("cooling", "refused", "gone", *["failing"] * 3):
            await gate.ask(f"{name}/m1")
        gate.pass_time(1)
        found = await models(gate)
        states = {name: (one.state, round(one.seconds)) for name, one in found.items()}
        assert states["cooling/m1"] == ("cooling", 39)
        assert states["cooling/m2"] == ("serving", 0)
        assert states["refused/m1"] == states["refused/m2"] == ("key aside", 899)
        assert states["failing/m1"] == ("ejected", 4)
        assert states["gone/m1"] == ("aside", 899)
        assert states["alone"] == ("ejected", 4)
        assert states["chat"] == ("serving", 0)
        assert found["chat"].reason == "failing/m1 is ejected"
        assert "401" in found["refused/m1"].reason


async def test_own_models_tell_what_their_files_say_and_how_their_processes_are(tmp_path: Path) -> None:
    """They cost nothing; a file that cannot be read, and a model that a route misses, are said."""
    values = {**LLAMA, "tokenizer.chat_template": "{{ tools }}"}
    good = str(model_file(tmp_path / "good.gguf", values))
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"PK")
    async with FaultUpstream() as agent, Gate({}, routes={"chat": ["node/gone", "node/good"]}) as gate:
        gate.fleet.serve(agent)
        gate.fleet.models = (
            LocalModel("good", good),
            LocalModel("short", good, context=64),
            LocalModel("bad", str(bad)),
            LocalModel("idle", good),
            LocalModel("died", good),
        )
        gate.fleet.processes = (
            LocalProcess("good", "ready", pid=1),
            LocalProcess("short", "starting"),
            LocalProcess("idle", "unloaded"),
            LocalProcess("died", "waiting", problem="It was ended by signal 9."),
        )
        found = await models(gate)
        good_one = found["node/good"]
        assert (good_one.state, good_one.context, good_one.abilities) == ("loaded", 8192, ("tools",))
        assert (good_one.prompt_nano, good_one.completion_nano) == (0, 0)
        assert (found["node/short"].state, found["node/short"].context) == ("loading", 64)
        assert found["node/idle"].state == "not loaded"
        assert (found["node/died"].state, found["node/died"].reason) == (
            "waiting",
            "It was ended by signal 9.",
        )
        assert found["node/bad"].state == "broken"
        assert "not a GGUF file" in found["node/bad"].reason
        assert found["node/gone"].state == "missing"
        assert (found["chat"].state, found["chat"].reason) == ("serving", "node/gone is missing")


@pytest.mark.parametrize(
    ("answer", "why"), [(status(401), "HTTP 401"), (html(), "its answer is no list of models")]
)
async def test_a_provider_that_does_not_list_its_models_is_said(answer: Behaviour, why: str) -> None:
    """With why, and where the models that are shown come from."""
    async with FaultUpstream(models=answer) as a:
        async with Gate({"a": a}, catalogue=lambda name: {"known"}) as gate:
            found = await listing(gate)
            assert [one.id for one in found.models] == ["a/known"]
            assert found.notices == (
                f"Provider a did not list its models ({why}): those of the built-in catalogue are shown.",
            )
        async with Gate({"a": a}, models=("mine",)) as gate:
            found = await listing(gate)
            assert [one.id for one in found.models] == ["a/mine"]
            assert "those that the configuration declares are shown" in found.notices[0]


async def test_a_provider_that_is_down_is_said() -> None:
    """And keeps nobody else's models away."""
    with refused_port() as port:
        async with (
            FaultUpstream(models=model_list("m")) as a,
            Gate({"down": f"http://127.0.0.1:{port}/v1", "a": a}) as gate,
        ):
            found = await listing(gate)
            assert [one.id for one in found.models] == ["a/m"]
            assert found.notices[0].endswith(": none are known.")
            assert "refused" in found.notices[0]


async def test_requests_go_on_while_many_models_are_described() -> None:
    """One that comes meanwhile is answered long before the description is there."""
    many = [f"organisation-{number % 50}/model-{number}-instruct" for number in range(500)]
    async with (
        FaultUpstream(models=model_list(*many)) as a,
        Gate({"a": a}, price_as={"a": "openrouter"}) as gate,
    ):
        await gate.get("/v1/models")
        describing = asyncio.ensure_future(listing(gate))  # noqa: TID251 - awaited below
        await turns()
        assert (await gate.ask("a/m")).status == 200
        assert not describing.done()
        assert len((await describing).models) == 500

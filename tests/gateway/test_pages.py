"""What a model's name means to a whole gateway, and the pages beside the completions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from shareai_cli.gateway.models import FRESH_SECONDS, RETRY_SECONDS
from shareai_cli.types import Outcome
from tests.support.behaviours import html, model_list, raw, status
from tests.support.gateway import Gate, provider_key
from tests.support.upstream import FaultUpstream, refused_port
from tests.support.waiting import turns


async def test_a_routes_name_comes_first() -> None:
    """Also where a provider offers a model of that name."""
    async with (
        FaultUpstream(models=model_list("small")) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"small": ["b/large"]}) as gate,
    ):
        answer = await gate.ask("small")
        assert answer.headers["x-shareai-target"] == "b/large"
        assert b.completions[0].json["model"] == "large"
        assert (gate.closed.route, gate.closed.target) == ("small", "b/large")


async def test_a_provider_and_a_model_pass_on_unchecked() -> None:
    """Whatever the provider says that it offers; the model's own slashes are its own."""
    async with FaultUpstream(models=model_list("small")) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/meta/llama-9")
        assert answer.headers["x-shareai-target"] == "a/meta/llama-9"
        assert [one.method for one in a.requests] == ["POST"]
        assert a.completions[0].json["model"] == "meta/llama-9"


async def test_a_bare_model_means_every_provider_that_offers_it() -> None:
    """In the order of the configuration; who does not offer it is not asked, and answers are kept."""
    async with (
        FaultUpstream(models=model_list("other")) as a,
        FaultUpstream([status(500)], models=model_list("small", "org/large")) as b,
        FaultUpstream(models=model_list("models/small")) as c,
        Gate({"a": a, "b": b, "c": c}) as gate,
    ):
        answer = await gate.ask("small")
        assert (answer.headers["x-shareai-target"], answer.headers["x-shareai-attempts"]) == ("c/small", "2")
        assert (await gate.ask("org/large")).headers["x-shareai-target"] == "b/org/large"
        assert not a.completions
        assert [len(one.requests) - len(one.completions) for one in (a, b, c)] == [1, 1, 1]


async def test_own_models_come_before_those_that_cost() -> None:
    """A bare name that this machine serves too is tried here first."""
    async with (
        FaultUpstream() as agent,
        FaultUpstream(models=model_list("tiny")) as a,
        Gate({"a": a}) as gate,
    ):
        gate.fleet.serve(agent, "tiny")
        assert (await gate.ask("tiny")).headers["x-shareai-target"] == "node/tiny"


@pytest.mark.parametrize(
    "models",
    [status(401), html(), raw(b"").reset(), model_list(*["m" * 300])],
    ids=["401", "page", "reset", "odd"],
)
async def test_a_provider_that_does_not_tell_its_models_is_looked_up(models: object) -> None:
    """In what is declared, else in the catalogue under the name that it has there."""

    def catalogue(name: str) -> Collection[str]:
        return {"known"} if name == "priced-a" else set()

    async with FaultUpstream(models=models) as a, Gate({"a": a}, catalogue=catalogue) as gate:  # type: ignore[arg-type] # a behaviour
        assert (await gate.ask("known")).status == 200
        assert (await gate.ask("unknown")).status == 404
    async with (
        FaultUpstream(models=models) as a,  # type: ignore[arg-type] # a behaviour
        Gate({"a": a}, catalogue=catalogue, models=("declared",)) as gate,
    ):
        assert (await gate.ask("declared")).status == 200
        assert (await gate.ask("known")).status == 404


async def test_lists_of_models_are_asked_for_again_when_they_are_old() -> None:
    """The old ones serve meanwhile; a provider that could not tell is asked again sooner."""
    async with FaultUpstream(models=model_list("small")) as a, Gate({"a": a}) as gate:
        await gate.ask("small")
        a.models = model_list("large")
        gate.pass_time(FRESH_SECONDS - 1)
        await gate.ask("small")
        assert len(a.requests) - len(a.completions) == 1
        gate.pass_time(2)
        assert (await gate.ask("small")).status == 200
        await turns()
        assert (await gate.ask("large")).status == 200
        a.models = status(500)
        gate.pass_time(FRESH_SECONDS + 1)
        await gate.ask("large")
        await turns()
        a.models = model_list("next")
        gate.pass_time(RETRY_SECONDS + 1)
        assert (await gate.ask("large")).status == 200
        await turns()
        assert (await gate.ask("next")).status == 200


async def test_a_key_is_presented_as_the_provider_wants_it() -> None:
    """Anthropic's list of models takes no bearer token, and its completions do."""
    async with FaultUpstream(models=model_list("m")) as a, Gate({"a": a}, check_style="anthropic") as gate:
        await gate.ask("m")
        listed, asked = a.requests
        assert listed.path == "/v1/models?limit=1000", "it lists twenty unless it is asked for more"
        assert listed.headers["x-api-key"] == provider_key("a")
        assert listed.headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in listed.headers
        assert asked.key == provider_key("a")
        assert "x-api-key" not in asked.headers


async def test_azure_gets_the_key_in_its_own_header_everywhere() -> None:
    """In requests and free calls alike, and in no other header."""
    async with (
        FaultUpstream(models=model_list("m")) as a,
        Gate({"a": a}, key_style="api-key", check_style="api-key") as gate,
    ):
        assert (await gate.ask("m")).status == 200
        assert [one.headers["api-key"] for one in a.requests] == [provider_key("a")] * 2
        assert not any("authorization" in one.headers for one in a.requests)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("chta", "Did you mean 'chat'?"),
        ("smal", "Did you mean 'small'?"),
        ("alhpa/small", "Did you mean the provider 'alpha'?"),
        ("nothing-like-it", "GET /v1/models lists what can be asked for."),
        ("x" * 256, "GET /v1/models lists what can be asked for."),
    ],
)
async def test_an_unknown_model_is_a_404_that_names_the_nearest(asked: str, named: str) -> None:
    """Refused, recorded, sent to nobody."""
    async with (
        FaultUpstream(models=model_list("small")) as a,
        Gate({"alpha": a}, routes={"chat": ["alpha/small"]}) as gate,
    ):
        answer = await gate.ask(asked)
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert answer.error["param"] == "model"
        assert named in answer.error["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert not a.completions
        assert gate.closed.outcome == Outcome.REFUSED


async def test_an_unknown_model_among_thousands_is_refused_fast() -> None:
    """Looking for the nearest name holds up no other request."""
    many = [f"organisation-{number % 50}/model-{number}-instruct" for number in range(20_000)]
    async with FaultUpstream(models=model_list(*many)) as a, Gate({"a": a}) as gate:
        await gate.ask("first")
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await gate.ask("organisation-7/model-instruct")).status == 404
        assert loop.time() - began < 1.0


# -- pages


async def test_the_models_that_can_be_asked_for_are_listed() -> None:
    """Routes, own models by their bare names, each provider's by their full ones; every one of them works."""
    async with (
        FaultUpstream() as agent,
        FaultUpstream(models=model_list("small", "org/large")) as a,
        Gate({"a": a}, routes={"chat": ["a/small"]}) as gate,
    ):
        gate.fleet.serve(agent, "tiny")
        listing = (await gate.get("/v1/models")).json
        assert listing["object"] == "list"
        assert [(one["id"], one["owned_by"]) for one in listing["data"]] == [
            ("chat", "shareai"),
            ("tiny", "node"),
            ("node/tiny", "node"),
            ("a/org/large", "a"),
            ("a/small", "a"),
        ]
        for one in listing["data"]:
            assert set(one) == {"id", "object", "created", "owned_by"}
            assert (await gate.ask(one["id"])).status == 200
            assert (await gate.get(f"/v1/models/{one['id'].replace('/', '%2F')}")).json == one
            assert (await gate.get(f"/v1/models/{one['id']}")).json == one


async def test_a_model_that_cannot_be_asked_for_is_not_found() -> None:
    """With the words that a completion would get."""
    async with Gate({}, routes={"chat": ["node/tiny"]}) as gate:
        answer = await gate.get("/v1/models/chta")
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert "'chat'" in answer.error["message"]


async def test_a_provider_that_is_down_does_not_keep_the_list_from_anybody() -> None:
    """The others' models are there."""
    with refused_port() as port:
        async with (
            FaultUpstream(models=model_list("small")) as a,
            Gate({"down": f"http://127.0.0.1:{port}/v1", "a": a}) as gate,
        ):
            listing = (await gate.get("/v1/models")).json
            assert [one["id"] for one in listing["data"]] == ["a/small"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_is_told_to_everybody(method: str) -> None:
    """Without a key; degraded while the accounts cannot be written."""
    async with Gate({}) as gate:
        answer = await gate.get("/healthz", key=None, method=method)
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        gate.ledger.problem = "The disk is full."
        assert (await gate.get("/healthz", key=None, method=method)).json == {"status": "degraded"}


async def test_heads_of_pages_are_those_of_their_gets() -> None:
    """The server leaves the body out."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m1"]}) as gate:
        for path in ("/v1/models", "/v1/models/chat"):
            got, head = await gate.get(path), await gate.get(path, method="HEAD")
            assert head.headers.pop("x-request-id") != got.headers.pop("x-request-id")
            assert (head.status, head.headers, head.body) == (got.status, got.headers, got.body)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/chat", 200),
        ("GET", "/v1/models/chta", 404),
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
    ],
)
async def test_every_reply_has_an_id_of_its_own(method: str, path: str, code: int) -> None:
    """Also of what is in no accounts: two replies can be told apart in a report of a problem."""
    async with Gate({}, routes={"chat": ["node/tiny"]}) as gate:
        first, second = await gate.get(path, method=method), await gate.get(path, method=method)
        assert first.status == second.status == code
        ids = {one.headers["x-request-id"] for one in (first, second)}
        assert len(ids) == 2
        assert all(one.startswith("req_") for one in ids)
        assert (await gate.get("/v1/models", key=None)).headers["x-request-id"] not in ids
        assert gate.ledger.closed_entries == []


async def test_weights_share_requests_out() -> None:
    """A route that is weighted sends each target its part of the requests, and all of them to who is left."""
    async with (
        FaultUpstream() as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/m=3", "b/m=1"]}, strategy="weighted") as gate,
    ):
        for _ in range(100):
            await gate.ask()
        assert 50 < len(a.completions) < 97
        a.default = status(404)
        for _ in range(20):
            assert (await gate.ask()).headers["x-shareai-target"] == "b/m"

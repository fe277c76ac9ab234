"""Engines on this machine are told apart by what they say, and nothing else is taken for one."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.discovery.engines import MOST_MODELS, EngineKind, FoundEngine, find_engines, usual_ports
from tests.support.behaviours import endless_body, endless_head, html, silence
from tests.support.engines import Answers, engine, llama_server, lm_studio, models, ollama, sglang, vllm
from tests.support.served import RunningGateway
from tests.support.upstream import FaultUpstream


async def find_one(answers: Answers) -> FoundEngine | None:
    with engine(answers) as port:
        found = await find_engines([port], seconds=5)
        assert len(found) < 2
        return found[0] if found else None


@pytest.mark.parametrize(
    ("kind", "title", "answers"),
    [
        ("ollama", "Ollama", ollama("llama3.2:3b")),
        ("ollama", "Ollama", {**ollama(), "/v1/models": models("acme", "llama3.2:3b")}),
        ("lmstudio", "LM Studio", lm_studio("llama3.2:3b")),
        (
            "lmstudio",
            "LM Studio",
            {
                "/v1/models": models("organization_owner", "llama3.2:3b"),
                "/api/v0/models": {"data": [{"id": "llama3.2:3b", "compatibility_type": "gguf"}]},
            },
        ),
        ("vllm", "vLLM", vllm("llama3.2:3b")),
        ("sglang", "SGLang", sglang("llama3.2:3b")),
        ("llama-server", "llama-server", llama_server("llama3.2:3b")),
    ],
)
async def test_each_engine_is_known_by_what_it_says(kind: str, title: str, answers: Answers) -> None:
    """On whatever port it is."""
    with engine(answers) as port:
        [found] = await find_engines([port], seconds=5)
    assert (found.kind, found.title, found.models) == (kind, title, ("llama3.2:3b",))
    assert found.base_url == f"http://127.0.0.1:{port}/v1"


async def test_an_engine_without_models_is_one_all_the_same() -> None:
    """Ollama says null, LM Studio an empty list."""
    for answers in (ollama(), lm_studio(), llama_server()):
        found = await find_one(answers)
        assert found is not None
        assert found.models == ()


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/": "Ollama is running"},
        {"/v1/models": models("library", "a"), "/api/version": {"version": "1"}},
        {"/v1/models": models("vllm", "a")},
        {"/v1/models": models("openai", "a"), "/version": {"version": "1"}},
        {"/v1/models": models("sglang", "a"), "/get_model_info": "not found"},
        {"/v1/models": models("llamacpp", "a"), "/props": {"title": "Shop"}},
        {
            "/v1/models": models("", "a"),
            "/lmstudio-greeting": {"lmstudio": False},
            "/api/v0/models": {"data": []},
        },
        {"/v1/models": {"data": [{"id": 3}]}, **{path: {"version": "1"} for path in ("/version", "/props")}},
        {"/v1/models": "<html>Welcome</html>", "/": "Ollama is running"},
        {"/v1/models": b"[" * 100_000, "/": "Ollama is running"},
        {"/v1/models": b"\xff\xfe", "/": "Ollama is running"},
        {"/v1/models": [], "/": "Ollama is running"},
    ],
)
async def test_what_only_resembles_an_engine_is_none(answers: Answers) -> None:
    """A gateway that passes on other engines' lists, a shop, a page, nonsense."""
    assert await find_one(answers) is None


async def test_this_gateway_is_no_engine(tmp_path: Path) -> None:
    """It serves `/v1/models` too, to those who have a key."""
    async with await RunningGateway.start(tmp_path) as gateway:
        port = int(gateway.origin.rpartition(":")[2])
        assert await find_engines([port], seconds=5) == ()


@pytest.mark.parametrize("behaviour", [silence(), endless_head(), endless_body(), html(), html(502)])
async def test_whoever_answers_badly_is_left_after_its_time(behaviour: Any) -> None:
    """All of a port's answers together have one limit."""
    async with FaultUpstream(models=behaviour) as upstream:
        started = time.monotonic()
        assert await find_engines([upstream.port], seconds=0.3) == ()
        assert time.monotonic() - started < 2


async def test_one_limit_holds_for_all_that_a_port_is_asked() -> None:
    """Not each answer has it anew."""
    with engine(ollama("a"), delay=0.3) as port:
        assert await find_engines([port], seconds=0.5) == ()


async def test_all_ports_are_asked_at_once() -> None:
    """Slow ones take no longer together than one alone, and cost the quick one nothing."""
    with ExitStack() as stack:
        ports = [stack.enter_context(engine(ollama("a"), delay=30)) for _ in range(8)]
        ports.append(stack.enter_context(engine(vllm("b"))))
        started = time.monotonic()
        found = await find_engines(ports, seconds=2)
        assert [one.kind for one in found] == ["vllm"]
        assert time.monotonic() - started < 10


async def test_a_port_on_which_nobody_listens_is_nothing() -> None:
    """Nor is it a failure."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await find_engines([taken.getsockname()[1], 1]) == ()


async def test_names_of_models_are_bounded_and_can_be_printed() -> None:
    """They come from outside."""
    many = [f"m{number}" for number in range(MOST_MODELS + 5)]
    found = await find_one(ollama("", "a\x1b[31m", "x" * 300, *many))
    assert found is not None
    assert found.models == tuple(many[:MOST_MODELS])


@pytest.mark.parametrize(
    ("host", "port"),
    [("", 11434), ("0.0.0.0", 11434), ("127.0.0.1:12000", 12000), ("http://localhost:12000/", 12000),
     (":12000", 12000), ("host:99999", 11434), ("host:1e4", 11434), ("host:١٢", 11434)],
)  # fmt: skip
def test_ollama_may_have_been_moved(host: str, port: int) -> None:
    """By its own variable; the others are where they usually are."""
    assert usual_ports({"OLLAMA_HOST": host}) == (port, 1234, 8000, 30000, 8080)


def test_engines_are_looked_for_where_their_presets_say_that_they_are() -> None:
    """Each of them, under the same name."""
    presets = {name: preset.base_url for name, preset in PRESETS.items() if preset.is_local}
    assert sorted(presets) == sorted(get_args(EngineKind))
    assert {f"http://127.0.0.1:{port}/v1" for port in usual_ports({})} == set(presets.values())

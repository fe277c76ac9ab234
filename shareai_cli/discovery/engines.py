"""Engines that serve models on this machine already, told apart by what they say of themselves.

A port says nothing of who listens on it: an engine is taken for what it is only where an address that no
other program has answers as it does. Sources: github.com/ollama/ollama/blob/main/docs/api.md,
lmstudio.ai/docs/developer/rest/endpoints, docs.vllm.ai/en/latest/serving/openai_compatible_server,
docs.sglang.ai/basic_usage/native_api, github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from shareai_cli.errors import UpstreamError
from shareai_cli.wire.client import Origin, Pool, Timeouts
from shareai_cli.wire.deadlines import Deadlines

EngineKind = Literal["ollama", "lmstudio", "vllm", "sglang", "llama-server"]

SECONDS: Final = 0.3
"""How long whoever listens on a port has for all that it is asked."""
MOST_MODELS: Final = 1000

_HOST: Final = "127.0.0.1"
_ANSWER_LIMIT: Final = 1 << 20
_LONGEST_NAME: Final = 256


class FoundEngine(Struct, frozen=True):
    """An engine that answers."""

    kind: EngineKind
    title: str
    base_url: str
    models: tuple[str, ...] = ()


class _Model(Struct):
    id: str
    owned_by: str = ""


class _Models(Struct):
    data: list[_Model] | None


class _Signs(Struct, frozen=True):
    """By what an engine is known: where it usually is, how it signs models, and what only it answers."""

    kind: EngineKind
    title: str
    port: int
    owner: str
    """What `/v1/models` says in `owned_by`."""
    proofs: tuple[tuple[str, Callable[[Any], bool]], ...]
    """Paths, each with what holds of its answer; one of them is enough."""
    signs_always: bool = False
    """Whether it is none without `owner` on its models."""


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda answer: isinstance(answer, dict) and any(name in answer for name in names)


def _greets(answer: Any) -> bool:
    return isinstance(answer, dict) and answer.get("lmstudio") is True


def _lists_formats(answer: Any) -> bool:
    models = answer.get("data") if isinstance(answer, dict) else None
    return isinstance(models, list) and bool(models) and all(map(_has("compatibility_type"), models))


_KNOWN: Final = (
    _Signs("ollama", "Ollama", 11434, "library", (("/", lambda answer: answer == "Ollama is running"),)),
    _Signs(
        "lmstudio",
        "LM Studio",
        1234,
        "organization_owner",
        (("/lmstudio-greeting", _greets), ("/api/v0/models", _lists_formats)),
    ),
    _Signs("vllm", "vLLM", 8000, "vllm", (("/version", _has("version")),), signs_always=True),
    _Signs(
        "sglang",
        "SGLang",
        30000,
        "sglang",
        (("/get_model_info", _has("model_path")), ("/model_info", _has("model_path"))),
        signs_always=True,
    ),
    _Signs(
        "llama-server",
        "llama-server",
        8080,
        "llamacpp",
        (("/props", _has("default_generation_settings", "build_info")),),
    ),
)


def usual_ports(environ: Mapping[str, str]) -> tuple[int, ...]:
    """Return where engines usually listen; Ollama's own variable for that is heeded."""
    ports = {signs.kind: signs.port for signs in _KNOWN}
    named = environ.get("OLLAMA_HOST", "").rstrip("/").rpartition(":")[2]
    if named.isascii() and named.isdigit() and 0 < int(named[:6]) < 1 << 16:
        ports["ollama"] = int(named)
    return tuple(ports.values())


async def find_engines(ports: Iterable[int], seconds: float = SECONDS) -> tuple[FoundEngine, ...]:
    """Ask who listens on these ports of the loopback, all at once; what is no known engine is left out."""
    deadlines = Deadlines()
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_find(port, seconds, deadlines)) for port in dict.fromkeys(ports)]
    finally:
        deadlines.close()
    return tuple(engine for task in asked if (engine := task.result()) is not None)


async def _find(port: int, seconds: float, deadlines: Deadlines) -> FoundEngine | None:
    pool = Pool(Origin("http", _HOST, port), tls=None, deadlines=deadlines)
    try:
        async with asyncio.timeout(seconds):
            return await _tell(_Asked(pool, port, seconds))
    except (TimeoutError, UpstreamError):
        return None
    finally:
        pool.abort()
        await pool.close()


class _Asked:
    """Whoever listens on one port."""

    def __init__(self, pool: Pool, port: int, seconds: float) -> None:
        self._pool = pool
        self._limits = Timeouts(seconds, seconds, seconds)
        self.port = port

    def __repr__(self) -> str:
        return f"<_Asked {self.port}>"

    async def get(self, path: str) -> bytes | None:
        """Return the answer to a GET; None where its status is another than 200. Raises `UpstreamError`."""
        head = f"GET {path} HTTP/1.1\r\nHost: {_HOST}:{self.port}\r\nAccept-Encoding: identity\r\n"
        reply = await self._pool.send(head.encode("ascii"), b"", self._limits)
        try:
            return await reply.read(_ANSWER_LIMIT) if reply.status == 200 else None
        finally:
            reply.abort()


async def _tell(asked: _Asked) -> FoundEngine | None:
    body = await asked.get("/v1/models")
    try:
        listed = msgspec.json.decode(body or b"", type=_Models).data or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    owners = {model.owned_by for model in listed}
    for signs in sorted(_KNOWN, key=lambda one: (one.owner not in owners, one.port != asked.port)):
        if signs.signs_always and signs.owner not in owners:
            continue
        if await _proves(asked, signs):
            names = tuple(model.id for model in listed if _is_name(model.id))[:MOST_MODELS]
            return FoundEngine(signs.kind, signs.title, f"http://{_HOST}:{asked.port}/v1", names)
    return None


async def _proves(asked: _Asked, signs: _Signs) -> bool:
    for path, holds in signs.proofs:
        if holds(_read(await asked.get(path))):
            return True
    return False


def _read(body: bytes | None) -> Any:
    """Return an answer's JSON, else its text."""
    try:
        return msgspec.json.decode(body or b"null")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return (body or b"").decode("utf-8", "replace").strip()


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()

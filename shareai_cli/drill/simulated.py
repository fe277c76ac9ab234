"""Providers that only pretend, on the loopback: a smoke test of them costs nothing and needs no key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from shareai_cli.errors import MalformedRequest, ShareAIError, UnknownPath
from shareai_cli.types import DEMO_MODEL, NODE
from shareai_cli.wire.message import Request, Response
from shareai_cli.wire.refusal import refusal
from shareai_cli.wire.server import Server

LOOPBACK: Final = "127.0.0.1"

KEY: Final = "simulated-provider-key"
"""What these providers are shown: no secret, and of no use anywhere."""

MODEL: Final = "gpt-4o-mini"
"""A model whose price is known, so that costs can be seen; it is never asked."""

_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream")

_encode: Final = msgspec.json.encode


class _Options(Struct):
    include_usage: bool = False


class _Wanted(Struct):
    model: str
    messages: list[Any]
    stream: bool = False
    stream_options: _Options | None = None


class SimulatedProvider:
    """One of them, listening within an `async with`; answers every prompt with `words`, each one a token."""

    def __init__(self, name: str, words: Sequence[str], pause: float) -> None:
        """`pause` is what a word takes, in seconds."""
        self.name = name
        self._words = words
        self._pause = pause

    async def __aenter__(self) -> SimulatedProvider:
        self._server = Server(self._respond, refuse=refusal)
        await self._server.start(LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close(0)

    @property
    def base_url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self._server.port}/v1"

    async def _respond(self, request: Request) -> Response:
        try:
            if request.path == "/v1/models":
                return Response(200, [_JSON], _encode({"object": "list", "data": [{"id": MODEL}]}))
            if request.path != "/v1/chat/completions":
                raise UnknownPath("Nothing is served there.")
            wanted = msgspec.json.decode(request.body, type=_Wanted)
        except msgspec.MsgspecError as error:
            return refusal(MalformedRequest(str(error)))
        except ShareAIError as error:
            return refusal(error)
        prompt = sum(len(str(message)) for message in wanted.messages) // 4
        if wanted.stream:
            return Response(200, [_EVENTS], self._events(wanted, prompt))
        await asyncio.sleep(self._pause * len(self._words))
        message = {"role": "assistant", "content": " ".join(self._words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "simulated", "object": "chat.completion", "model": wanted.model, "choices": [choice]}
        return Response(200, [_JSON], _encode(body | {"usage": self._usage(prompt)}))

    async def _events(self, wanted: _Wanted, prompt: int) -> AsyncIterator[bytes]:
        for number, word in enumerate(self._words):
            await asyncio.sleep(self._pause)
            yield _event([{"index": 0, "delta": {"content": f"{' ' if number else ''}{word}"}}])
        yield _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if wanted.stream_options is not None and wanted.stream_options.include_usage:
            yield _event([], usage=self._usage(prompt))
        yield b"data: [DONE]\n\n"

    def _usage(self, prompt: int) -> dict[str, int]:
        answer = len(self._words)
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def providers() -> tuple[SimulatedProvider, SimulatedProvider]:
    """Return two of them, one quick and one slow."""
    return (
        SimulatedProvider(
            "alpha", ["Pong,", "says", "a", "provider", "that", "is", "only", "simulated."], 0.002
        ),
        SimulatedProvider("beta", ["Pong,", "says", "another", "one."], 0.006),
    )


def write_configuration(file: Path, found: Sequence[SimulatedProvider], demo: Path | None) -> None:
    """Write a configuration with these providers, and the demo model where there is one, in one route."""
    key = file.parent / "simulated.key"
    key.write_text(KEY + "\n", encoding="utf-8")
    key.chmod(0o600)
    lines: list[str] = []
    for one in found:
        lines += [
            f"[providers.{one.name}]",
            f'base_url = "{one.base_url}"',
            f"keys = [{_quoted(f'file:{key}')}]",
            'check = "/models"',
            'price_as = "openai"',
            "",
        ]
    targets = [f"{one.name}/{MODEL}" for one in found]
    if demo is not None:
        lines += ["[local]", f"models = [{_quoted(str(demo))}]", ""]
        targets.append(f"{NODE}/{DEMO_MODEL}")
    named = ", ".join(map(_quoted, targets))
    lines += ["[routes.chat]", f"targets = [{named}]", 'cache = "10m"', ""]
    file.write_text("\n".join(lines), encoding="utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _event(choices: list[Any], **more: Any) -> bytes:
    body = {"id": "simulated", "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + _encode(body) + b"\n\n"

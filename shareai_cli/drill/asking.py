"""Sends a scenario's requests to the gateway, and takes down what comes back, however bad a reply it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shareai_cli import __version__
from shareai_cli.drill.outcome import Asked, Tokens
from shareai_cli.drill_types import DRILL_HEADER, Scenario
from shareai_cli.errors import MalformedReply
from shareai_cli.types import Clock
from shareai_cli.wire.sse import EventSplitter, data_of

MOST_BYTES: Final = 4 << 20
LONGEST_ERROR: Final = 300

_TOLD: Final = ("x-ratelimit-", "x-should-retry")


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None


class _Detail(Struct):
    message: str = ""
    code: str | int | None = None
    type: str | None = None


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: Tokens | None = None
    error: _Detail | None = None


_decode: Final = msgspec.json.Decoder(_Completion).decode


class Asker:
    """Asks with one scenario's keys and token; belongs to one event loop."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        scenario: Scenario,
        seconds: float,
        clock: Clock = time.monotonic,
    ) -> None:
        """A reply has so many seconds."""
        self._http = http
        self._url = f"{base_url}/chat/completions"
        self._seconds = seconds
        self._clock = clock
        self._keys = (scenario.key, scenario.other_key)
        self._headers = {
            DRILL_HEADER: scenario.token,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"shareai/{__version__}",
        }

    def __repr__(self) -> str:
        return f"<Asker of {self._url}>"

    async def ask(self, body: Mapping[str, Any], *, anew: bool = False, as_other: bool = False) -> Asked:
        """Send a request, and return what came of it.

        `anew` takes nothing that a cache has kept, `as_other` asks as somebody of another team.
        """
        headers = {**self._headers, "Authorization": f"Bearer {self._keys[as_other]}"}
        if anew:
            headers["Cache-Control"] = "no-cache"
        taking = _Taking(str(body["model"]), bool(body.get("stream")), self._clock)
        timeout = httpx.Timeout(self._seconds, connect=10.0)
        try:
            async with self._http.stream(
                "POST", self._url, content=msgspec.json.encode(body), headers=headers, timeout=timeout
            ) as response:
                taking.head(response)
                await taking.body(response)
        except httpx.TimeoutException:
            taking.failed(f"no end of the reply within {self._seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            taking.failed(f"the connection to the gateway failed ({type(error).__name__})")
        except MalformedReply as error:
            taking.failed(str(error))
        return taking.asked()


class _Taking:
    """One reply while it comes."""

    def __init__(self, model: str, streamed: bool, clock: Clock) -> None:
        self._clock = clock
        self._began = clock()
        self._asked = Asked(model, streamed)
        self._texts: list[str] = []
        self._first: float | None = None

    def head(self, response: httpx.Response) -> None:
        headers = response.headers
        self._asked = replace(
            self._asked,
            status=response.status_code,
            request_id=headers.get("x-request-id", "")[:64],
            target=headers.get("x-shareai-target", "")[:512],
            cache=headers.get("x-shareai-cache", "")[:16],
            retry_after=_number(headers.get("retry-after")),
            headers={name: value[:64] for name, value in headers.items() if name.startswith(_TOLD)},
        )

    async def body(self, response: httpx.Response) -> None:
        """Take the body to its end; raises `MalformedReply`."""
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            await self._events(response)
            return
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > MOST_BYTES:
                raise MalformedReply(f"a reply of more than {MOST_BYTES} bytes")
        self._take(bytes(content))
        self._asked = replace(self._asked, is_whole=True)

    def failed(self, why: str) -> None:
        self._asked = replace(self._asked, error=self._asked.error or why)

    def asked(self) -> Asked:
        seconds = self._clock() - self._began
        first = self._first if self._asked.streamed else None
        return replace(self._asked, text="".join(self._texts), first_seconds=first, seconds=seconds)

    async def _events(self, response: httpx.Response) -> None:
        splitter, size = EventSplitter(), 0
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > MOST_BYTES:
                raise MalformedReply(f"a stream of more than {MOST_BYTES} bytes")
            for event in splitter.feed(piece):
                data = data_of(event)
                if data is None:
                    continue
                if data.strip() == b"[DONE]":
                    self._asked = replace(self._asked, is_whole=True)
                else:
                    self._take(data)

    def _take(self, data: bytes) -> None:
        """Take in a whole reply, or one event."""
        try:
            told = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise MalformedReply("a reply that is no chat completion") from None
        if told.error is not None:
            code = told.error.code or told.error.type or ""
            self._asked = replace(
                self._asked, error_code=str(code)[:64], error=told.error.message[:LONGEST_ERROR]
            )
        if told.usage is not None:
            self._asked = replace(self._asked, tokens=told.usage)
        for choice in told.choices or ():
            said = choice.message or choice.delta
            if said is None:
                continue
            text = said.content or said.refusal
            if self._first is None and (text or said.reasoning or said.reasoning_content):
                self._first = self._clock() - self._began
            if text:
                self._texts.append(text)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None

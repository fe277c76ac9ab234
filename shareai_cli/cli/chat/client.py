"""Asks a gateway's `/v1` for answers, models and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from shareai_cli import __version__
from shareai_cli.cli.chat.access import KEY_VARIABLE, Access
from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.chat.events import refused, take_event
from shareai_cli.errors import (
    AuthenticationFailed,
    ConnectionReset,
    GatewayUnreachable,
    MalformedReply,
    RequestError,
    ShareAIError,
    TruncatedReply,
    UpstreamTimeout,
)
from shareai_cli.wire.sse import EventSplitter

SECONDS: Final = httpx.Timeout(660.0, connect=10.0)
"""The gateway itself gives an answer up to 600 s, and a model that is being loaded is silent for long."""

REFUSAL_BYTES: Final = 1 << 20
LIST_BYTES: Final = 16 << 20

PENDING: Final = "pending"
"""The target's name in the head of a stream that begins before there is one."""

Body = Mapping[str, Any]


class _Model(Struct):
    id: str


class _Models(Struct):
    data: list[_Model]


class ChatClient:
    """One chat's connections to a gateway; belongs to one event loop."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._http = httpx.AsyncClient(
            timeout=SECONDS,
            trust_env=not access.is_own,  # a company's proxy lies before other machines only
            follow_redirects=False,
            headers={"User-Agent": f"shareai/{__version__}", "Accept-Encoding": "identity"},
        )

    def __repr__(self) -> str:
        return f"<ChatClient of {self._access.base_url}>"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, answer: Answer, body: Body) -> None:
        """Have a question answered: what comes goes into `answer`, and what fails into its `error`."""
        wanted: Body | None = body
        try:
            while wanted is not None:
                wanted = await self._ask(answer, wanted)
        except ShareAIError as error:
            answer.error = error
        answer.end()

    async def models(self) -> list[str]:
        """Return the names that can be asked for, in the gateway's order; raises `ShareAIError`."""
        async with self._sent("GET", "/models") as response:
            content = await _read(response, LIST_BYTES)
        try:
            found = msgspec.json.decode(content, type=_Models).data
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise MalformedReply(f"What answers at {self._access.base_url} is no gateway.") from None
        return list(dict.fromkeys(model.id for model in found))

    async def check_model(self, name: str) -> None:
        """Raise `UsageError`, with the nearest name, where the gateway knows no such model."""
        async with self._sent("GET", f"/models/{quote(name, safe='')}"):
            pass

    async def _ask(self, answer: Answer, body: Body) -> Body | None:
        """Ask once; returns the body to ask with instead, where the model does not take this one."""
        try:
            async with self._sent("POST", "/chat/completions", body, answer) as response:
                await _take_stream(answer, response)
        except RequestError as error:
            adapted = _adapted(body, error.message)
            if adapted is None:
                raise
            return adapted
        return None

    @asynccontextmanager
    async def _sent(
        self, method: str, path: str, body: Body | None = None, answer: Answer | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Yield a reply with status 200; raises what any other says, or why it is missing or broken off.

        What the head says of an answer is taken in, whatever the status is.
        """
        content = msgspec.json.encode(body) if body is not None else None
        where, response = self._access.base_url, None
        try:
            response = await self._open(method, path, content)
            if answer is not None:
                _take_head(answer, response.headers)
            if response.status_code != 200:
                raise self._refused(response.status_code, await _read(response, REFUSAL_BYTES))
            yield response
        except httpx.TimeoutException:
            raise UpstreamTimeout(f"The gateway at {where} was silent for too long.", phase="gap") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if response is not None:
                raise ConnectionReset(f"The connection to {where} ended before the answer did.") from None
            raise GatewayUnreachable(
                f"The gateway at {where} does not answer ({type(error).__name__}).",
                hint=None
                if self._access.is_own
                else "Is the address right, and 'shareai serve' running there?",
            ) from None
        finally:
            if response is not None:
                await response.aclose()

    async def _open(self, method: str, path: str, content: bytes | None) -> httpx.Response:
        """Send a request, once more where another gateway or another key is to be had."""
        access = self._access
        where = access.base_url
        try:
            response = await self._send(method, path, content)
        except httpx.ConnectError:  # nothing was sent
            if access.base_url == where and not access.reconnect():
                raise
            response = await self._send(method, path, content)
        if response.status_code == 401 and access.renew_key():
            await response.aclose()
            response = await self._send(method, path, content)
        return response

    async def _send(self, method: str, path: str, content: bytes | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._access.key.reveal()}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        url = self._access.base_url + path
        return await self._http.send(
            self._http.build_request(method, url, content=content, headers=headers), stream=True
        )

    def _refused(self, status: int, body: bytes) -> ShareAIError:
        error = refused(status, body)
        if not isinstance(error, AuthenticationFailed):
            return error
        return AuthenticationFailed(
            f"The gateway at {self._access.base_url} does not know the key that was given.",
            hint=f"Without --key-stdin and {KEY_VARIABLE} chat uses a key of its own."
            if self._access.is_own
            else "'shareai key create NAME' makes a key there.",
        )


def _take_head(answer: Answer, headers: httpx.Headers) -> None:
    target = headers.get("x-shareai-target", "")[:512]
    answer.request_id = headers.get("x-request-id", "")[:64]
    answer.target = "" if target == PENDING else target
    with suppress(ValueError):
        answer.attempts = int(headers.get("x-shareai-attempts", "")[:4])


async def _take_stream(answer: Answer, response: httpx.Response) -> None:
    """Read a stream to its end; raises the error that it tells of, `TruncatedReply` where it just ends."""
    splitter = EventSplitter()
    async for data in response.aiter_raw():
        for event in splitter.feed(data):
            if take_event(answer, event):
                return
    for event in splitter.feed(b"\n\n"):  # the last one, where nothing ended it
        if take_event(answer, event):
            return
    if not answer.finish_reason:
        raise TruncatedReply("The answer ended too early.")


async def _read(response: httpx.Response, limit: int) -> bytes:
    """Return a reply's body; raises `MalformedReply` where it is longer than `limit` bytes."""
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > limit:
            raise MalformedReply(f"The reply is larger than {limit} bytes.")
    return bytes(content)


def _adapted(body: Body, refusal: str) -> Body | None:
    """Return a body without what a model has refused, and what takes its place; None where that is not known.

    OpenAI's newer models want `max_completion_tokens`, which other servers do not know; some servers refuse
    `stream_options`.
    """
    if "max_tokens" in body and "max_completion_tokens" in refusal:
        rest = {name: value for name, value in body.items() if name != "max_tokens"}
        return {**rest, "max_completion_tokens": body["max_tokens"]}
    if "stream_options" in body and "stream_options" in refusal:
        return {name: value for name, value in body.items() if name != "stream_options"}
    return None

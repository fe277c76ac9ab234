"""What a scripted provider answers, and what goes wrong on the way (see `tests.support.upstream`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Parts = Callable[["Received"], Iterable[bytes]]
"""A reply's bytes: the head first, then the body, each part written by itself."""

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Received:
    """One request as it came; `connection` counts the accepted connections from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        """What was presented as the bearer key."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def streamed(self) -> bool:
        try:
            return bool(self.json.get("stream"))
        except (ValueError, AttributeError):
            return False

    @property
    def wants_usage(self) -> bool:
        return bool((self.json.get("stream_options") or {}).get("include_usage"))


@dataclass(frozen=True)
class Behaviour:
    """What is answered, and what goes wrong on the way.

    Places are bytes of the reply (`at`), or numbers of parts (`after`): part 0 is the head,
    part n the n-th event of a stream; a JSON reply has the head and one part.
    """

    parts: Parts
    delay: float = 0.0
    gap: float = 0.0
    slices: bool = False
    closes: bool = False
    joins: bool = False
    fault: str = ""
    at: int | None = None
    after: int | None = None
    until: asyncio.Event | None = field(default=None, compare=False)

    def reset(self, at: int | None = None, after: int | None = None) -> Behaviour:
        """Reset the connection (RST) there; without a place at once, before any byte."""
        return self._fails("reset", at, after)

    def end(self, at: int | None = None, after: int | None = None) -> Behaviour:
        """Close the connection (FIN) there; without a place at once, before any byte."""
        return self._fails("end", at, after)

    def abrupt(self, at: int | None = None, after: int | None = None) -> Behaviour:
        """Close the TCP connection there without TLS's own goodbye (close_notify)."""
        return self._fails("abrupt", at, after)

    def stall(
        self, at: int | None = None, after: int | None = None, until: asyncio.Event | None = None
    ) -> Behaviour:
        """Send nothing more there until the client leaves or `until` is set; without a place not a byte."""
        return replace(self._fails("stall", at, after), until=until)

    def sliced(self) -> Behaviour:
        """Send each byte by itself."""
        return replace(self, slices=True)

    def joined(self) -> Behaviour:
        """Send all parts in one write."""
        return replace(self, joins=True)

    def closing(self) -> Behaviour:
        """Close the connection after the reply, without having said so."""
        return replace(self, closes=True)

    def after_delay(self, seconds: float) -> Behaviour:
        """Wait before the first byte."""
        return replace(self, delay=seconds)

    def spaced(self, seconds: float) -> Behaviour:
        """Wait before each part of the body."""
        return replace(self, gap=seconds)

    def followed_by(self, surplus: bytes) -> Behaviour:
        """Send surplus bytes together with the reply's last part."""
        parts = self.parts

        def more(request: Received) -> Iterator[bytes]:
            *first, last = parts(request)
            yield from first
            yield last + surplus

        return replace(self, parts=more)

    def _fails(self, fault: str, at: int | None, after: int | None) -> Behaviour:
        return replace(self, fault=fault, at=0 if at is None and after is None else at, after=after)


# -- what is answered


def raw(*parts: bytes) -> Behaviour:
    """Answer with these bytes as they stand."""
    return Behaviour(lambda request: parts)


def reply(
    body: bytes,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = JSON,
    length: int | None = None,
) -> Behaviour:
    """Answer with a body; `length` makes its Content-Length a lie."""
    declared = {"Content-Type": content_type, "Content-Length": str(len(body) if length is None else length)}
    return raw(head(code, declared | dict(headers or {})), body)


def close_delimited(body: bytes, content_type: str = JSON) -> Behaviour:
    """Answer with a body that ends with the connection."""
    return raw(head(200, {"Content-Type": content_type}), body).closing()


def chat(
    text: str = "Hello there.",
    usage: tuple[int, int] | None = (9, 12),
    *,
    extra: Mapping[str, Any] | None = None,
) -> Behaviour:
    """Answer a chat completion: JSON, or a stream of the text's words where the request asks for one."""

    def parts(request: Received) -> Iterable[bytes]:
        if request.streamed:
            words = text.split(" ")
            return stream(*[word + " " * (n < len(words) - 1) for n, word in enumerate(words)],
                          usage=usage).parts(request)  # fmt: skip
        body = json.dumps(completion(request, text, usage) | dict(extra or {})).encode()
        return head(200, {"Content-Type": JSON, "Content-Length": str(len(body))}), body

    return Behaviour(parts)


def stream(
    *texts: str,
    usage: tuple[int, int] | None = (9, 12),
    role_first: bool = True,
    finish: str | None = "stop",
    done: bool = True,
    error_before: int | None = None,
    delimited_by: str = "chunks",
) -> Behaviour:
    """Answer a stream: the role, a delta a text, the reason of the end, usage if asked for, `[DONE]`.

    `error_before` puts an error event before that text (0: before any content) and ends the stream there;
    `delimited_by` is "chunks", or "close" for a body that ends with the connection.
    """

    def parts(request: Received) -> Iterable[bytes]:
        return _events(request, list(_stream(request)), delimited_by)

    def _stream(request: Received) -> Iterator[bytes]:
        if role_first:
            yield _delta(request, {"role": "assistant", "content": ""})
        for number, text in enumerate(texts):
            if number == error_before:
                break
            yield _delta(request, {"content": text})
        if error_before is not None:
            yield event(
                {"error": {"message": "The engine overheated.", "type": "server_error", "code": None}}
            )
            return
        if finish is not None:
            yield _delta(request, {}, finish)
        if usage is not None and request.wants_usage:
            yield event(_chunk(request, []) | {"usage": _usage(usage)})
        if done:
            yield event("[DONE]")

    return Behaviour(parts, closes=delimited_by == "close")


def events(*given: bytes | str | Mapping[str, Any], delimited_by: str = "chunks") -> Behaviour:
    """Answer a stream of these events: bytes as they stand, else the data of one event."""
    blocks = [one if isinstance(one, bytes) else event(one) for one in given]
    return Behaviour(lambda request: _events(request, blocks, delimited_by), closes=delimited_by == "close")


def status(
    code: int,
    headers: Mapping[str, str] | None = None,
    *,
    message: str = "The provider says no.",
    error_code: str | None = None,
) -> Behaviour:
    """Answer an error in OpenAI's shape."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": error_code}}
    return reply(json.dumps(body).encode(), code, headers)


def rate_limited(**headers: str) -> Behaviour:
    """Answer 429; `Retry_After="3"`, `retry_after_ms="1500"`, `x_ratelimit_reset_requests="1s"`..."""
    return status(429, {name.replace("_", "-"): value for name, value in headers.items()},
                  message="Rate limit reached.", error_code="rate_limit_exceeded")  # fmt: skip


def quota_exhausted(code: int = 429) -> Behaviour:
    """Answer as OpenAI does when nothing is left to spend."""
    return status(code, message="You exceeded your current quota.", error_code="insufficient_quota")


def error_in_200() -> Behaviour:
    """Answer 200 with an error in its body."""
    return reply(b'{"error": {"message": "Upstream had a bad day.", "code": 502}}')


def html(code: int = 200) -> Behaviour:
    """Answer a web page."""
    page = b"<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>"
    return reply(page, code, content_type="text/html")


def model_list(*ids: str) -> Behaviour:
    """Answer the list of models."""
    entries = [{"id": one, "object": "model", "created": 1, "owned_by": "fake"} for one in ids]
    return reply(json.dumps({"object": "list", "data": entries}).encode())


def silence() -> Behaviour:
    """Take the request and never answer."""
    return raw(b"").stall()


def endless_head() -> Behaviour:
    """Answer a head without an end."""

    def parts(request: Received) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        number = 0
        while True:
            number += 1
            yield b"X-Filler-%d: %s\r\n" % (number, b"f" * 100)

    return Behaviour(parts)


def endless_body(piece: bytes = b"x" * 65536) -> Behaviour:
    """Answer a chunked body without an end."""

    def parts(request: Received) -> Iterator[bytes]:
        yield head(200, {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"})
        while True:
            yield chunk(piece)

    return Behaviour(parts)


# -- its bytes


def head(code: int, headers: Mapping[str, str]) -> bytes:
    """Return a reply's head."""
    lines = [f"HTTP/1.1 {code} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return data as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(data: str | Mapping[str, Any]) -> bytes:
    """Return one event block."""
    text = data if isinstance(data, str) else json.dumps(data)
    return b"data: " + text.encode() + b"\n\n"


def completion(request: Received, text: str, usage: tuple[int, int] | None) -> dict[str, Any]:
    """Return a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = _chunk(request, [choice]) | {"object": "chat.completion"}
    return body | ({"usage": _usage(usage)} if usage is not None else {})


def _chunk(request: Received, choices: list[Any]) -> dict[str, Any]:
    model = request.json.get("model", "") if request.body else ""
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": choices}  # fmt: skip


def _delta(request: Received, delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event(_chunk(request, [{"index": 0, "delta": delta, "finish_reason": finish}]))


def _usage(counts: tuple[int, int]) -> dict[str, int]:
    prompt, answered = counts
    return {"prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered}


def _events(request: Received, blocks: Iterable[bytes], delimited_by: str) -> Iterator[bytes]:
    if delimited_by == "close":
        yield head(200, {"Content-Type": EVENTS})
        yield from blocks
        return
    yield head(200, {"Content-Type": EVENTS, "Transfer-Encoding": "chunked"})
    for block in blocks:
        yield chunk(block)
    yield b"0\r\n\r\n"

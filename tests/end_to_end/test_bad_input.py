"""Bad requests over a real socket: a 4xx that says what is wrong, no cost, nothing sent upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.support.served import CHAT, KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

DEEP = 100_000
LOOP = pytest.mark.asyncio(loop_scope="module")


class Served(NamedTuple):
    gateway: RunningGateway
    upstream: FaultUpstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    home: Path = tmp_path_factory.mktemp("bad-input")
    async with (
        FaultUpstream() as upstream,
        await RunningGateway.start(home, one_route(upstream.base_url), environ=KEYS) as gateway,
    ):
        yield Served(gateway, upstream)


BODIES = {
    "empty": (b"", "empty"),
    "not JSON": (b"hello", "JSON"),
    "cut off": (b'{"model": "chat", "messages": [', "JSON"),
    "an array": (b"[]", "object"),
    "a string": (b'"chat"', "object"),
    "null": (b"null", "object"),
    "a number": (b"1", "object"),
    "nested deep": (b'{"model": "chat", "messages": ' + b"[" * DEEP + b"]" * DEEP + b"}", "deep"),
    "nested deep and cut off": (b'{"model": "chat", "messages": ' + b'{"a":' * DEEP, "deep"),
    "NaN": (b'{"model": "chat", "messages": [], "temperature": NaN}', "temperature"),
    "Infinity": (b'{"model": "chat", "messages": [], "top_p": -Infinity}', "top_p"),
    "a lone surrogate": (b'{"model": "chat", "messages": [{"content": "\\ud800"}]}', "content"),
    "invalid UTF-8": (b'{"model": "chat", "messages": [{"role": "user", "content": "\xff"}]}', "content"),
    "a byte order mark": (b'\xef\xbb\xbf{"model": "chat", "messages": []}', "JSON"),
    "no model": (b'{"messages": []}', "'model'"),
    "a number as model": (b'{"model": 5, "messages": []}', "'model'"),
    "null as model": (b'{"model": null, "messages": []}', "'model'"),
    "an empty model": (b'{"model": "", "messages": []}', "'model'"),
    "a long model": (b'{"model": "' + b"m" * 5000 + b'", "messages": []}', "'model'"),
    "no messages": (b'{"model": "chat"}', "'messages'"),
    "messages that are no array": (b'{"model": "chat", "messages": "hi"}', "'messages'"),
    "a stream flag that is none": (b'{"model": "chat", "messages": [], "stream": "yes"}', "'stream'"),
    "stream options that are none": (
        b'{"model": "chat", "messages": [], "stream": true, "stream_options": 5}', "'stream_options'"
    ),
    "a control character": (b'{"model": "chat", "messages": [{"content": "\x01"}]}', "JSON"),
}  # fmt: skip


@LOOP
@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_cannot_be_served_is_a_400_that_says_why(served: Served, name: str) -> None:
    """In OpenAI's shape; retrying is said to be useless; the upstream hears nothing and it costs nothing."""
    body, named = BODIES[name]
    reply = await served.gateway.client.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]
    assert reply.headers["x-should-retry"] == "false"
    assert served.upstream.completions == []


@LOOP
async def test_refused_requests_of_a_known_key_are_in_the_accounts_and_cost_nothing(served: Served) -> None:
    """As refused; those without a key are only counted."""
    before = (await served.gateway.shareai("usage", "--json")).json["total"]
    await served.gateway.client.post(CHAT, content=b"{", headers={"Content-Type": "application/json"})
    await served.gateway.client.post(CHAT, content=b"{}", headers={"Authorization": "Bearer wrong"})
    after = (await served.gateway.shareai("usage", "--json")).json["total"]
    assert after["requests"] == before["requests"] + 1
    assert after["refused"] == before["refused"] + 1
    assert (after["cost_nano_usd"], after["unknown_cost"]) == (0, 0)
    status = (await served.gateway.shareai("status", "--json")).json
    assert status["refused_keys"] >= 1


@LOOP
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Authorization": "Bearer sk-shareai-wrong", "Content-Type": "application/json"}, 401),
        ({"Authorization": "", "Content-Type": "application/json"}, 401),
        ({"Authorization": "Basic abc", "Content-Type": "application/json"}, 401),
        ({"Authorization": "Bearer " + "k" * 10_000, "Content-Type": "application/json"}, 401),
    ],
)
async def test_a_wrong_key_or_type_is_refused(served: Served, headers: dict[str, str], status: int) -> None:
    """Every refusal of a key reads the same."""
    reply = await served.gateway.client.post(
        CHAT, content=b'{"model": "chat", "messages": []}', headers=headers
    )
    assert reply.status_code == status
    if status == 401:
        assert reply.json()["error"]["message"].startswith("The API key is missing or not valid.")
        assert reply.headers["www-authenticate"] == "Bearer"
    assert served.upstream.completions == []


@LOOP
@pytest.mark.parametrize(
    ("method", "path", "status", "named"),
    [
        ("POST", "/v1/nothing", 404, "/v1/nothing"),
        ("GET", "/", 404, "/"),
        ("POST", "/chat/completions", 404, "/v1/chat/completions"),
        ("GET", CHAT, 405, "POST"),
        ("DELETE", "/v1/models", 405, "GET"),
        ("GET", "/v1/models/nothing-like-it", 404, "nothing-like-it"),
        ("GET", "/../../etc/passwd", 404, "etc/passwd"),
        ("GET", "/v1/models/%2e%2e%2f%2e%2e", 404, "../.."),
    ],
)
async def test_unknown_paths_and_methods(
    served: Served, method: str, path: str, status: int, named: str
) -> None:
    """404 and 405 that name what would be right."""
    reply = await served.gateway.client.request(method, path)
    assert reply.status_code == status
    assert named in reply.json()["error"]["message"]
    if status == 405:
        assert reply.headers["allow"]


@LOOP
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 400),
    ],
    ids=["no HTTP", "a large body", "a large head", "another host"],
)
async def test_what_is_no_request_has_an_id_all_the_same(served: Served, sent: bytes, status: int) -> None:
    """Each reply of the gateway's can be named in a report of a problem."""
    port = int(served.gateway.origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    writer.close()
    await writer.wait_closed()
    assert head[0].split()[1] == str(status)
    assert len([line for line in head if line.startswith("x-request-id: req_")]) == 1


@LOOP
@pytest.mark.parametrize(
    "model", ["chatt", "nothing/like/it", "p1", "p1/", "../../etc", "http://10.0.0.1/m1"]
)
async def test_an_unknown_model_is_a_404_that_names_the_nearest(served: Served, model: str) -> None:
    """It has OpenAI's code, and chooses no address."""
    reply = await served.gateway.ask(model=model)
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "Did you mean" in error["message"] or "/v1/models" in error["message"]
    assert served.upstream.completions == []

"""What clients send: good requests pass on as they are, bad ones are refused with words, and cost nothing."""

from __future__ import annotations

import json

import pytest

from shareai_cli.errors import Overloaded
from shareai_cli.types import Outcome
from tests.support.behaviours import chat
from tests.support.gateway import KEY, MESSAGES, Gate, chat_body
from tests.support.upstream import FaultUpstream

DEEP = b"[" * 100_000 + b"]" * 100_000
REST = b', "messages": []}'


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "empty"),
        (b"hello", None, "not JSON"),
        (b"[]", None, "not an object"),
        (b'"model"', None, "not an object"),
        (b"null", None, "not an object"),
        (b'{"model": "a/m", "messages": []} x', None, "not JSON"),
        (b'\xef\xbb\xbf{"model": "a/m"}', None, "not JSON"),
        (b'{"model": "a/m", "messages": [', None, "not JSON"),
        (DEEP, None, "not an object"),
        (b'{"model": "a/m", "tools": ' + DEEP + REST, "tools", "nested too deeply"),
        (b'{"model": "a/m", "tools": ' + DEEP[:100_000], "tools", "nested too deeply"),
        (b'{"model": "a/m", "temperature": NaN' + REST, "temperature", "NaN"),
        (b'{"model": "a/m", "logit_bias": {"1": -Infinity}' + REST, "logit_bias.1", "infinite"),
        (b'{"model": "a/m", "messages": [{"content": "\\ud800 a"}]}', "messages[0].content", "surrogate"),
        (b'{"model": "a/m", "user": "\\udc00\\ud800"' + REST, "user", "surrogate"),
        (b'{"model": "a/m", "messages": [{"content": "\xff"}]}', "messages[0].content", "UTF-8"),
        (b'{"model": "a/m", "user": "\xed\xa0\x80"' + REST, "user", "UTF-8"),
        (b'{"model": "a/m", "\xc3": 1' + REST, "?", "Unicode"),
        (b'{"messages": []}', "model", "missing"),
        (b'{"model": null' + REST, "model", "string"),
        (b'{"model": 5' + REST, "model", "string"),
        (b'{"model": ["a/m"]' + REST, "model", "string"),
        (b'{"model": ""' + REST, "model", "1 to 256"),
        (b'{"model": "' + b"m" * 257 + b'"' + REST, "model", "1 to 256"),
        (b'{"model": "a/m"}', "messages", "missing"),
        (b'{"model": "a/m", "messages": "hi"}', "messages", "array"),
        (b'{"model": "a/m", "messages": null}', "messages", "array"),
        (b'{"model": "a/m", "stream": "yes"' + REST, "stream", "true or false"),
        (b'{"model": "a/m", "stream": 1' + REST, "stream", "true or false"),
        (b'{"model": "a/m", "stream": true, "stream_options": 5' + REST, "stream_options", "object"),
        (
            b'{"model": "a/m", "stream": true, "stream_options": {"include_usage": 5}' + REST,
            "include_usage",
            "true or false",
        ),
    ],
    ids=lambda value: str(value[:40]) if isinstance(value, bytes) else "",
)
async def test_a_body_that_cannot_be_understood_is_refused(
    body: bytes, param: str | None, words: str
) -> None:
    """A 400 in OpenAI's shape that names the field; recorded as refused, sent to nobody, free of charge."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        answer = await gate.send(body)
        assert answer.status == 400
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["content-type"] == "application/json"
        assert answer.error["type"] == "invalid_request_error"
        assert answer.error["param"] == param
        assert words in answer.error["message"]
        assert (param or "") in answer.error["message"]
        assert not a.requests
        entry = gate.closed
        assert (entry.outcome, entry.status, entry.attempts, entry.target) == (Outcome.REFUSED, 400, (), "")
        assert (entry.usage, entry.completion_bytes, gate.ledger.opened_entries) == (None, 0, [])


async def test_a_large_body_that_is_broken_is_refused_without_a_search() -> None:
    """Looking for the field takes time, and a body of 20 MiB would take too much of it."""
    body = b'{"model": "a/m", "messages": ["' + b"x" * (2 << 20) + b'", NaN]}'
    async with Gate({}) as gate:
        answer = await gate.send(body)
        assert (answer.status, answer.error["message"]) == (400, "The body is not JSON (RFC 8259).")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"],
)
async def test_another_content_type_is_refused(content_type: str) -> None:
    """415, naming the header and what belongs there; a form from a browser's page gets no further."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        answer = await gate.send(chat_body("a/m"), headers={"content-type": content_type})
        assert (answer.status, answer.error["param"]) == (415, "Content-Type")
        assert "application/json" in answer.error["message"]
        assert not a.requests


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"]
)
async def test_json_by_any_of_its_names_is_taken(content_type: str) -> None:
    """Clients write it differently."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        assert (await gate.send(chat_body("a/m"), headers={"content-type": content_type})).status == 200


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (None, {}),
        ("", {}),
        ("sk-shareai-wrong", {}),
        (KEY + " x", {}),
        ("x" * 10_000, {}),
        (None, {"authorization": f"Basic {KEY}"}),
        (None, {"authorization": KEY}),
        (None, {"api-key": "wrong"}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/models/chat"])
async def test_without_a_valid_key_nothing_is_answered(
    key: str | None, headers: dict[str, str], path: str
) -> None:
    """Every refusal reads the same, whatever else is wrong with the request; none is recorded."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        method = "POST" if path.endswith("completions") else "GET"
        answer = await gate.send(b"{", path=path, method=method, key=key, headers=headers)
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert answer.error["message"].startswith("The API key is missing or not valid.")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-should-retry"] == "false"
        assert not a.requests
        assert not gate.ledger.closed_entries
        assert gate.gateway.keys.refused == 1


@pytest.mark.parametrize(
    "headers", [{"authorization": f"bearer  {KEY} "}, {"authorization": f"BEARER {KEY}"}, {"api-key": KEY}]
)
async def test_a_key_is_taken_in_every_form_in_which_clients_send_it(headers: dict[str, str]) -> None:
    """The scheme's case does not matter (RFC 9110, 11.1); Azure's clients have a header of their own."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        assert (await gate.send(chat_body("a/m"), key=None, headers=headers)).status == 200


async def test_a_revoked_key_is_refused_at_once() -> None:
    """However often it was found valid before."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        assert [(await gate.ask("a/m")).status for _ in range(3)] == [200] * 3
        gate.gateway.keys.replace({})
        assert (await gate.ask("a/m")).status == 401
        assert len(a.completions) == 3


async def test_the_clients_key_and_headers_go_to_no_provider() -> None:
    """Nothing but its body reaches the upstream, and nothing of that chooses the address."""
    async with FaultUpstream() as a, FaultUpstream() as other, Gate({"a": a}) as gate:
        headers = {
            "host": f"127.0.0.1:{other.port}",
            "x-forwarded-host": f"127.0.0.1:{other.port}",
            "x-evil": "1",
            "base_url": other.base_url,
        }
        await gate.send(chat_body("a/m", base_url=other.base_url, api_base=other.base_url), headers=headers)
        [received] = a.requests
        assert not other.requests
        assert received.path == "/v1/chat/completions"
        assert set(received.headers) == {
            "host", "authorization", "content-type", "content-length", "accept", "accept-encoding",
            "user-agent",
        }  # fmt: skip
        assert received.headers["host"] == f"127.0.0.1:{a.port}"
        assert KEY not in json.dumps(received.headers)


@pytest.mark.parametrize("model", ["a/../../admin", "a/m?x=1", "a/m\r\nHost: evil", "a/http://evil.example/"])
async def test_a_model_name_chooses_no_path(model: str) -> None:
    """It goes into the body alone, and into our own header only as far as a header can carry it."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        answer = await gate.ask(model)
        [received] = a.requests
        assert (received.path, received.json["model"]) == ("/v1/chat/completions", model.removeprefix("a/"))
        assert "\n" not in answer.headers["x-shareai-target"]


async def test_unknown_fields_pass_through_byte_for_byte() -> None:
    """Numbers keep their digits, texts their escapes, fields their order; only the model's name is ours."""
    body = (
        b'{"temperature":1.0000000000000000001,"model":"a/m","seed":12345678901234567890123,'
        b'"user":"\\u00e4\\/\xc3\xa4 \\ud83d\\ude00","messages":[ {"role":"user" , "content":"hi"} ],'
        b'"x":{"a":1,"a":2},"null":null,"big":1e400,"stream":false}'
    )
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        assert (await gate.send(body)).status == 200
        assert a.completions[0].body == body.replace(b'"a/m"', b'"m"')


async def test_of_duplicate_keys_the_last_one_counts_for_everybody() -> None:
    """The gateway and the upstream never see two different models, however the names are spelt."""
    body = b'{"model": "b/m", "mod\\u0065l": "a/m", "messages": [], "stream": true, "stream": false}'
    async with FaultUpstream() as a, FaultUpstream() as b, Gate({"a": a, "b": b}) as gate:
        answer = await gate.send(body)
        assert answer.headers["x-shareai-target"] == "a/m"
        assert not b.requests
        assert a.completions[0].body == b'{"model":"m","messages":[],"stream":false}'


async def test_an_answer_passes_through_byte_for_byte() -> None:
    """With the headers that say who gave it."""
    async with FaultUpstream([chat("hi", extra={"x_groq": {"id": 1}})]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m")
        assert answer.json["x_groq"] == {"id": 1}
        assert answer.headers == {
            "content-type": "application/json",
            "x-request-id": answer.headers["x-request-id"],
            "x-shareai-target": "a/m",
            "x-shareai-attempts": "1",
        }
        assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("HEAD", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("PUT", "/v1/models/chat", "GET"),
        ("POST", "/healthz", "GET"),
    ],
)
async def test_a_wrong_method_is_refused(method: str, path: str, allowed: str) -> None:
    """405, with the right one in Allow (RFC 9110, 15.5.6)."""
    async with Gate({}) as gate:
        answer = await gate.send(b"{}", method=method, path=path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert answer.error["code"] == "method_not_allowed"
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "The base URL ends in /v1."),
        ("/chat/completions", "Did you mean /v1/chat/completions?"),
        ("/v1/chat/completions/", "The base URL ends in /v1."),
        ("/v1/v1/chat/completions", "The base URL ends in /v1."),
        ("/v1/responses", "Nothing is served under /v1/responses."),
        ("/admin/v1/status", "Nothing is served"),
        ("/" + "x" * 9000, "Nothing is served"),
    ],
)
async def test_an_unknown_path_is_refused(path: str, words: str) -> None:
    """404, with a hint for the mistake that everybody makes once."""
    async with Gate({}) as gate:
        answer = await gate.send(chat_body(), path=path)
        assert (answer.status, answer.error["code"]) == (404, "unknown_url")
        assert words in answer.error["message"]
        assert len(answer.body) < 500


async def test_accounts_that_cannot_be_kept_refuse_requests() -> None:
    """503 with Retry-After, before anything was sent: nothing goes unrecorded."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        gate.ledger.is_full = True
        answer = await gate.ask("a/m")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.error["type"] == Overloaded.type
        assert not a.requests
        assert gate.closed.outcome == Outcome.FAILED


async def test_equal_prompts_are_found_by_their_fingerprint() -> None:
    """Salted, so that nobody can look a prompt up; other prompts differ."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        for messages in (MESSAGES, MESSAGES, [{"role": "user", "content": "other"}]):
            await gate.ask("a/m", messages=messages)
        first, second, third = (entry.fingerprint for entry in gate.ledger.closed_entries)
        assert first == second != third
        assert len(first) == 8
        assert [entry.fingerprint for entry in gate.ledger.opened_entries] == [first, second, third]

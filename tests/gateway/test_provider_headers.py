"""Header fields that go with every request to a provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from shareai_cli.config import Header
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import Secret, SecretReference
from tests.support.behaviours import status
from tests.support.gateway import Gate
from tests.support.upstream import FaultUpstream

TOKEN = "planted-gateway-token"


def kept(folder: Path, text: str) -> SecretReference:
    """Keep a text in a file that its owner alone can read."""
    file = folder / "value"
    file.write_text(text)
    file.chmod(0o600)
    return SecretReference("file", str(file))


async def test_they_go_with_chat_completions_and_with_the_free_call(tmp_path: Path) -> None:
    """Written out or kept elsewhere, a value with spaces too; nothing else changes."""
    headers = (
        Header("X-Title", Secret("My program")),
        Header("cf-aig-authorization", kept(tmp_path, f"Bearer {TOKEN}\n")),
    )
    async with FaultUpstream() as upstream:
        async with Gate({"a": upstream}, headers=headers) as gate:
            assert (await gate.ask("a/m1")).status == 200
            assert (await gate.get("/v1/models")).status == 200
        assert [one.method for one in upstream.requests] == ["POST", "GET"]
        for request in upstream.requests:
            assert request.headers["x-title"] == "My program"
            assert request.headers["cf-aig-authorization"] == f"Bearer {TOKEN}"
            assert request.headers["authorization"].startswith("Bearer sk-planted-a-1")


async def test_they_go_with_every_key_and_without_one() -> None:
    """They are the provider's, not a key's."""
    headers = (Header("X-Title", Secret("t")),)
    for count in (0, 2):
        async with FaultUpstream() as upstream:
            async with Gate({"a": upstream}, keys={"a": count}, headers=headers) as gate:
                for _ in range(2):
                    assert (await gate.ask("a/m1")).status == 200
            assert [one.headers["x-title"] for one in upstream.requests] == ["t", "t"]


async def test_a_field_in_which_the_free_call_presents_the_key_is_sent_once() -> None:
    """The one that belongs to the key."""
    headers = (Header("Anthropic-Version", Secret("2020-01-01")), Header("X-API-Key", Secret("other")))
    async with FaultUpstream() as upstream:
        async with Gate({"a": upstream}, headers=headers, check_style="anthropic") as gate:
            await gate.get("/v1/models")
            await gate.ask("a/m1")
        free, asked = upstream.requests
        assert (free.headers["x-api-key"], free.headers["anthropic-version"]) == (
            "sk-planted-a-1",
            "2023-06-01",
        )
        assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == ("other", "2020-01-01")


async def test_a_secret_in_them_is_taken_out_of_what_a_provider_sends_back(tmp_path: Path) -> None:
    """As its key is: a refusal may repeat what it did not like."""
    headers = (Header("X-Proxy-Token", kept(tmp_path, f"Bearer {TOKEN}")),)
    answer = status(400, message=f"bad token {TOKEN}")
    async with FaultUpstream([answer]) as upstream, Gate({"a": upstream}, headers=headers) as gate:
        refused = await gate.ask("a/m1")
    assert refused.status == 400
    assert TOKEN.encode() not in refused.body
    assert b"bad token [key]" in refused.body


def test_a_value_that_cannot_be_had_is_named_with_its_provider_and_field(tmp_path: Path) -> None:
    """And is not repeated."""
    for reference, says in (
        (SecretReference("env", "NOT_SET"), "The variable NOT_SET is not set"),
        (kept(tmp_path, f"{TOKEN}\n{TOKEN}"), "does not hold a header field's value"),
    ):
        with pytest.raises(ConfigurationError, match=f"Provider 'a', header X-Token: .*{says}") as caught:
            Gate({"a": "http://127.0.0.1:1/v1"}, headers=(Header("X-Token", reference),))
        assert TOKEN not in str(caught.value)

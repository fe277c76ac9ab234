"""`shareai provider test` asks every key for itself and judges whatever comes back."""

from __future__ import annotations

import socket

import pytest

from shareai_cli.paths import Paths
from tests.cli.provider.knowing import BAD, GOOD, declare
from tests.support.check_server import CheckServer, check_server
from tests.support.commands import shareai
from tests.support.upstream import refused_port


def test_every_key_is_asked_for_itself(server: CheckServer) -> None:
    """One that works and one that does not: exit code 6; nothing repeats what the provider said."""
    declare(server, "alpha", "GOOD", "BAD")
    outcome = shareai("provider", "test", "--json")
    assert outcome.code == 6
    found = [(one["key"], one["verdict"], one["status"], one["models"]) for one in outcome.json["results"]]
    assert found == [("env:GOOD", "valid", 200, 2), ("env:BAD", "refused", 401, None)]
    assert all(one["milliseconds"] >= 0 for one in outcome.json["results"])
    assert BAD not in outcome.out + outcome.err
    assert {path for path, _ in server.asked} == {"/v1/models"}
    assert all(headers["user-agent"].startswith("shareai/") for _, headers in server.asked)


def test_the_exit_code_says_what_is_wrong(server: CheckServer) -> None:
    """0 where all work, 4 where the keys are refused, 3 where one cannot be had."""
    declare(server, "good", "GOOD")
    declare(server, "bad", "BAD")
    declare(server, "lost", "MISSING")
    codes = {name: shareai("provider", "test", name).code for name in ("good", "bad", "lost")}
    assert codes == {"good": 0, "bad": 4, "lost": 3}
    assert shareai("provider", "test").code == 6
    assert "HTTP 401: the key is refused" in shareai("provider", "test", "bad").out


def test_anthropics_list_is_asked_in_its_own_way(server: CheckServer, paths: Paths) -> None:
    """Its key goes into `x-api-key`, never into both headers."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(
        f'[providers.a]\nbase_url = "{server.base_url}"\nkeys = ["env:GOOD"]\ncheck_style = "anthropic"\n'
    )
    assert shareai("provider", "test").code == 0
    ((_, headers),) = server.asked
    assert (headers["x-api-key"], headers["anthropic-version"]) == (GOOD, "2023-06-01")
    assert "authorization" not in headers


def test_the_fields_of_other_requests_go_with_it(server: CheckServer, paths: Paths) -> None:
    """A gateway before the provider may want them."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(
        f'[providers.a]\nbase_url = "{server.base_url}"\nkeys = ["env:GOOD"]\nheaders = {{x-team = "blue"}}\n'
    )
    assert shareai("provider", "test").code == 0
    assert server.asked[0][1]["x-team"] == "blue"


def test_a_provider_without_keys_is_asked_without(server: CheckServer) -> None:
    """An engine on this machine wants none, or says that it does."""
    declare(server, "local")
    outcome = shareai("provider", "test", "--json")
    assert outcome.json["results"][0]["key"] == "none"
    assert outcome.json["results"][0]["detail"] == "HTTP 401: it wants a key"
    assert "authorization" not in server.asked[0][1]
    assert outcome.code == 4


def test_a_provider_that_is_not_there_is_exit_code_5() -> None:
    """A port that nobody listens on."""
    with refused_port() as port:
        arguments = ("--base-url", f"http://127.0.0.1:{port}/v1", "--key-env", "GOOD", "--no-check")
        shareai("provider", "add", "gone", *arguments)
        outcome = shareai("provider", "test", "--json")
    assert outcome.code == 5
    assert outcome.json["results"][0]["verdict"] == "unreachable"
    assert "connection refused" in outcome.json["results"][0]["detail"]
    assert GOOD not in outcome.out


def test_a_provider_that_never_answers_is_given_up(paths: Paths) -> None:
    """After its own time limit for a head."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        paths.config_file.parent.mkdir(parents=True)
        paths.config_file.write_text(
            f'[providers.a]\nbase_url = "http://127.0.0.1:{silent.getsockname()[1]}"\n'
            "timeouts = {head = 0.2}\n"
        )
        outcome = shareai("provider", "test", "--json")
    assert outcome.code == 5
    assert outcome.json["results"][0]["verdict"] == "unreachable"
    assert "0.2 s" in outcome.json["results"][0]["detail"]


@pytest.mark.parametrize(
    ("status", "body", "verdict", "code"),
    [(200, b"<html>", "failed", 5), (200, b"[" * 10_000, "failed", 5), (200, b"{}", "valid", 0),
     (200, b'{"data": {}}', "valid", 0), (200, b" " * (9 << 20), "failed", 5),
     (400, b"", "refused", 4), (403, b"", "refused", 4), (302, b"", "failed", 5), (404, b"", "failed", 5),
     (429, b"", "failed", 5), (503, b"", "failed", 5)],
)  # fmt: skip
def test_every_answer_is_judged(status: int, body: bytes, verdict: str, code: int) -> None:
    """Whatever comes back; redirects are not followed."""
    with check_server(lambda headers: (status, body)) as server:
        declare(server, "a", "GOOD")
        outcome = shareai("provider", "test", "--json")
        assert len(server.asked) == 1
    assert (outcome.json["results"][0]["verdict"], outcome.code) == (verdict, code)
    assert outcome.json["results"][0]["models"] is None


def test_nothing_to_test_is_said() -> None:
    """With the command that adds a provider."""
    outcome = shareai("provider", "test")
    assert (outcome.code, "shareai provider add" in outcome.err) == (3, True)

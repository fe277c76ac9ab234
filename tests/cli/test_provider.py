"""`shareai provider` declares providers, keeps their keys safe, and asks their free calls."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shareai_cli.paths import Paths
from tests.support.check_server import CheckServer, check_server
from tests.support.commands import shareai
from tests.support.configuration import PLANTED

GOOD, BAD = "good-key", "bad-key"
MODELS = b'{"object": "list", "data": [{"id": "a"}, {"id": "b", "x": 1}]}'


def answer(headers: dict[str, str]) -> tuple[int, bytes]:
    """Know one key, under either way of presenting it."""
    presented = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    return (200, MODELS) if presented == GOOD else (401, f'{{"error": "{presented}"}}'.encode())


@pytest.fixture
def server() -> Iterator[CheckServer]:
    with check_server(answer) as running:
        yield running


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOD", GOOD)
    monkeypatch.setenv("BAD", BAD)


def add(server: CheckServer, name: str, *variables: str) -> None:
    options = [item for variable in variables for item in ("--key-env", variable)]
    assert shareai("provider", "add", name, "--base-url", server.base_url, *options).code == 0


def test_a_preset_needs_its_name_alone(paths: Paths) -> None:
    """The address and the key's variable are known; what is missing is said on stderr."""
    outcome = shareai("provider", "add", "openai")
    assert outcome.code == 0
    assert outcome.out == "Provider openai: https://api.openai.com/v1, key env:OPENAI_API_KEY.\n"
    assert "The variable OPENAI_API_KEY is not set." in outcome.err
    assert "Next: shareai provider test openai" in outcome.err
    assert paths.config_file.read_text() == "[providers.openai]\n"


def test_any_address_can_be_a_provider(paths: Paths, tmp_path: Path) -> None:
    """With several keys, each named by its place."""
    key = tmp_path / "alpha.key"
    key.write_text(PLANTED)
    key.chmod(0o600)
    outcome = shareai(
        "provider", "add", "alpha", "--base-url", "https://alpha.example/v1/", "--key-env", "GOOD",
        "--key-file", str(key), "--json",
    )  # fmt: skip
    assert outcome.json["provider"]["keys"] == ["env:GOOD", f"file:{key}"]
    assert outcome.json["provider"]["base_url"] == "https://alpha.example/v1"
    assert outcome.json["file"] == str(paths.config_file)
    assert PLANTED not in outcome.out + outcome.err
    listed = shareai("provider", "list", "--json").json["providers"]
    assert [one["name"] for one in listed] == ["alpha"]
    assert shareai("provider", "list").out.split()[:4] == ["NAME", "BASE", "URL", "KEYS"]


def test_a_key_on_standard_input_is_kept_for_the_owner_alone(paths: Paths) -> None:
    """In a 0600 file in a 0700 folder; the configuration names the file; nothing shows the key."""
    outcome = shareai("provider", "add", "groq", "--stdin", stdin=f"{PLANTED}\n")
    assert outcome.code == 0
    (kept,) = paths.secrets.iterdir()
    assert kept.read_text() == f"{PLANTED}\n"
    assert (kept.stat().st_mode & 0o777, paths.secrets.stat().st_mode & 0o777) == (0o600, 0o700)
    assert tomllib.loads(paths.config_file.read_text())["providers"]["groq"]["keys"] == [f"file:{kept}"]
    everything = outcome.out + outcome.err + paths.config_file.read_text() + str(kept)
    for arguments in (("config", "show"), ("provider", "list"), ("config", "check", "--json")):
        shown = shareai(*arguments)
        everything += shown.out + shown.err
    assert PLANTED not in everything


def test_the_same_key_twice_is_kept_once(paths: Paths) -> None:
    """Adding again does no harm; another key joins it."""
    for text in (PLANTED, PLANTED, f"{PLANTED}2"):
        assert shareai("provider", "add", "groq", "--stdin", stdin=text).code == 0
    assert len(list(paths.secrets.iterdir())) == 2
    assert len(tomllib.loads(paths.config_file.read_text())["providers"]["groq"]["keys"]) == 2


def test_removing_a_provider_deletes_the_keys_kept_for_it(paths: Paths, tmp_path: Path) -> None:
    """A person's own key files stay."""
    own = tmp_path / "own.key"
    own.write_text(PLANTED)
    own.chmod(0o600)
    shareai("provider", "add", "groq", "--stdin", "--key-file", str(own), stdin=f"{PLANTED}2")
    outcome = shareai("provider", "remove", "groq")
    assert outcome == (0, "Provider groq is removed.\n", "")
    assert list(paths.secrets.iterdir()) == []
    assert own.exists()


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "ü"])
def test_what_is_no_key_is_refused(paths: Paths, text: str) -> None:
    """Nothing is written."""
    outcome = shareai("provider", "add", "groq", "--stdin", stdin=text)
    assert outcome.code == 2
    assert "did not hold a key" in outcome.err
    assert not paths.config_file.exists()
    assert not paths.secrets.exists()


def test_a_refused_provider_leaves_no_key_behind(paths: Paths) -> None:
    """The key's file goes with the change that did not happen."""
    assert shareai("provider", "add", "beta", "--base-url", "https://beta.example/v1").code == 0
    elsewhere = ("provider", "add", "beta", "--base-url", "https://other.example/v1", "--stdin")
    assert shareai(*elsewhere, stdin=PLANTED).code == 2
    assert list(paths.secrets.iterdir()) == []
    outcome = shareai(
        "provider", "add", "alpha", "--base-url", "http://alpha.example/v1", "--stdin", stdin=PLANTED
    )
    assert outcome.code == 2
    assert "unencrypted" in outcome.err
    assert list(paths.secrets.iterdir()) == []
    allowed = shareai(
        "provider", "add", "alpha", "--base-url", "http://alpha.example/v1", "--allow-http", "--stdin",
        stdin=PLANTED,
    )  # fmt: skip
    assert allowed.code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "alpha"), "is not one of the known providers (openai,"),
        (("add", "opnai"), "Did you mean openai?"),
        (("add", "work", "--preset", "opnai"), "Did you mean openai?"),
        (("add", "node", "--base-url", "https://x"), "this machine's own models"),
        (("add", "../x", "--base-url", "https://x", "--stdin"), "small letters"),
        (("add", "a", "--base-url", "https://u:p@x"), "--base-url has a user name or password"),
        (("add", "openai", "--key-env", "A B"), "--key-env"),
        (("test", "opnai"), "There is no provider 'opnai'"),
        (("remove", "alpha"), "There is no provider 'alpha'"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_code_2(
    paths: Paths, arguments: tuple[str, ...], says: str
) -> None:
    """The message helps, and nothing is written."""
    outcome = shareai("provider", *arguments, stdin=PLANTED)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert not paths.config_file.exists()
    assert not paths.secrets.exists()


def test_a_provider_found_in_the_environment_is_not_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed with its variable, cannot be removed, and is named when a declaration replaces it."""
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    assert "Found through OPENAI_API_KEY" in shareai("provider", "list").err
    refused = shareai("provider", "remove", "openai")
    assert refused.code == 2
    assert "Unset OPENAI_API_KEY" in refused.err
    added = shareai("provider", "add", "groq")
    assert "To keep openai: shareai provider add openai" in added.err
    assert PLANTED not in refused.err + added.err


def test_every_key_is_asked_for_itself(server: CheckServer) -> None:
    """One that works and one that does not: exit code 6; nothing repeats what the provider said."""
    add(server, "alpha", "GOOD", "BAD")
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
    add(server, "good", "GOOD")
    add(server, "bad", "BAD")
    add(server, "lost", "MISSING")
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


def test_a_provider_without_keys_is_asked_without(server: CheckServer) -> None:
    """An engine on this machine wants none, or says that it does."""
    add(server, "local")
    outcome = shareai("provider", "test", "--json")
    assert outcome.json["results"][0]["key"] == "none"
    assert "authorization" not in server.asked[0][1]
    assert outcome.code == 4


def test_a_provider_that_is_not_there_is_exit_code_5() -> None:
    """A port that nobody listens on, and a server that ends every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    shareai("provider", "add", "gone", "--base-url", f"http://127.0.0.1:{port}/v1", "--key-env", "GOOD")
    outcome = shareai("provider", "test", "--json")
    assert outcome.code == 5
    assert outcome.json["results"][0]["verdict"] == "unreachable"
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
    assert outcome.json["results"][0]["detail"] == "no answer within 0.2 s"


@pytest.mark.parametrize(
    ("status", "body", "verdict", "code"),
    [(200, b"<html>", "failed", 5), (200, b"[" * 10_000, "failed", 5), (200, b"{}", "valid", 0),
     (200, b'{"data": {}}', "valid", 0),
     (400, b"", "refused", 4), (403, b"", "refused", 4), (302, b"", "failed", 5), (404, b"", "failed", 5),
     (429, b"", "failed", 5), (503, b"", "failed", 5)],
)  # fmt: skip
def test_every_answer_is_judged(status: int, body: bytes, verdict: str, code: int) -> None:
    """Whatever comes back; redirects are not followed."""
    with check_server(lambda headers: (status, body)) as server:
        add(server, "a", "GOOD")
        outcome = shareai("provider", "test", "--json")
        assert len(server.asked) == 1
    assert (outcome.json["results"][0]["verdict"], outcome.code) == (verdict, code)
    assert outcome.json["results"][0]["models"] is None


def test_nothing_to_test_is_said() -> None:
    """With the command that adds a provider."""
    outcome = shareai("provider", "test")
    assert (outcome.code, "shareai provider add" in outcome.err) == (3, True)

"""A person at a terminal is asked for the key, and nobody sees it."""

from __future__ import annotations

import sys

import pytest

from shareai_cli.paths import Paths
from tests.cli.provider.knowing import BAD, GOOD, OTHER, declare, declared, kept, knows_good
from tests.support.check_server import CheckServer, check_server
from tests.support.commands import shareai
from tests.support.terminal import terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")


def openai(server: CheckServer, *options: str) -> tuple[str, ...]:
    return ("provider", "add", "openai", "--base-url", server.base_url, *options)


def test_the_key_is_asked_for_and_not_shown(server: CheckServer, paths: Paths) -> None:
    """With the place that gives out keys; then what was found, and where it was put."""
    with terminal(*openai(server)) as shown:
        shown.until("OpenAI key")
        shown.until("(not shown): ")
        shown.type(f"{GOOD}\r")
        assert shown.end() == 0
    assert "https://platform.openai.com/api-keys" in shown.text
    assert "OpenAI accepts the key: 2 models in " in shown.text
    assert f"The key is kept in {paths.secrets}/openai-" in shown.text
    assert GOOD not in shown.raw
    assert kept(paths) == [GOOD]
    assert len(declared(paths)["openai"]["keys"]) == 1


def test_a_wrong_key_is_not_saved_and_a_second_try_is_free(server: CheckServer, paths: Paths) -> None:
    """Exit code 4, and nothing left behind."""
    with terminal(*openai(server)) as shown:
        shown.until("(not shown): ")
        shown.type(f"{BAD}\r")
        assert shown.end() == 4
    assert "OpenAI does not accept the key (the one given): HTTP 401" in shown.text
    assert "Nothing was saved." in shown.text
    assert BAD not in shown.raw
    assert (declared(paths), kept(paths)) == ({}, [])
    with terminal(*openai(server)) as shown:
        shown.until("(not shown): ")
        shown.type(f"{GOOD}\r")
        assert shown.end() == 0


def test_a_key_in_its_variable_is_used_without_a_question(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person has given it already; nobody listens at the address, so that nothing is asked there."""
    monkeypatch.setenv("OPENAI_API_KEY", GOOD)
    with terminal("provider", "add", "openai", "--no-check") as shown:
        assert shown.end() == 0
    assert "not shown" not in shown.text
    assert declared(paths) == {"openai": {}}


@pytest.mark.parametrize(
    ("option", "says"),
    [("--key-env", "The variable MISSING is not set."), ("--key-file", "There is no file")],
)
def test_a_named_place_without_a_key_is_a_mistake_and_no_question(
    paths: Paths, option: str, says: str
) -> None:
    """Else a slip in a variable's name would leave two keys declared, one of them missing."""
    with terminal("provider", "add", "openai", option, "MISSING") as shown:
        assert shown.end() == 3
    assert says in shown.text
    assert "not shown" not in shown.text
    assert (declared(paths), kept(paths)) == ({}, [])


def test_without_its_variable_a_preset_asks_even_unchecked(paths: Paths) -> None:
    """Nothing typed, or nothing that could be a key, is nothing saved."""
    for typed, says in (("\r", "No key was typed. Nothing was saved."), ("two words\r", "That was no key")):
        with terminal("provider", "add", "openai", "--no-check") as shown:
            shown.until("OpenAI key (not shown): ")
            shown.type(typed)
            assert shown.end() == 2
        assert says in shown.text
    with terminal("provider", "add", "openai", "--no-check") as shown:
        shown.until("(not shown): ")
        shown.type("\x03")
        assert shown.end() == 130
    assert shown.text.endswith("(not shown): \n")  # where the shell's prompt comes next
    assert (declared(paths), kept(paths)) == ({}, [])
    with terminal("provider", "add", "openai", "--no-check") as shown:
        shown.until("(not shown): ")
        shown.type(f"{GOOD}\r")
        assert shown.end() == 0
    assert kept(paths) == [GOOD]


def test_an_engine_on_this_machine_is_asked_before_the_person_is(paths: Paths) -> None:
    """Only one that wants a key leads to a question."""
    with (
        check_server(lambda headers: (200, b'{"data": []}')) as free,
        terminal("provider", "add", "ollama", "--base-url", free.base_url) as shown,
    ):
        assert shown.end() == 0
        assert len(free.asked) == 1
    assert "not shown" not in shown.text
    with (
        check_server(knows_good) as guarded,
        terminal("provider", "add", "vllm", "--base-url", guarded.base_url) as shown,
    ):
        shown.until("vLLM key, Enter for none (not shown): ")
        shown.type(f"{GOOD}\r")
        assert shown.end() == 0
    assert "vLLM accepts the key" in shown.text
    assert "keys" not in declared(paths)["ollama"]
    assert kept(paths) == [GOOD]


def test_nobody_is_asked_who_does_not_want_to_be(server: CheckServer, paths: Paths) -> None:
    """`--no-input` at a terminal is as if there were none."""
    with terminal("provider", "add", "openai", "--no-input") as shown:
        assert shown.end() == 3
    assert "The variable OPENAI_API_KEY is not set. Nothing was saved." in shown.text
    assert declared(paths) == {}


def test_a_new_key_is_typed_in_the_old_one_s_place(server: CheckServer, paths: Paths) -> None:
    """And removing it is asked about: no is what nothing typed means."""
    declare(server, "alpha", "GOOD", "BAD")
    with terminal("provider", "key", "rotate", "alpha", "env:BAD") as shown:
        shown.until("New alpha key (not shown): ")
        shown.type(f"{OTHER}\r")
        assert shown.end() == 0
    assert kept(paths) == [OTHER]
    for answer, code in (("\r", 1), ("y\r", 0)):
        with terminal("provider", "key", "remove", "alpha", "env:GOOD") as shown:
            shown.until("Remove env:GOOD from alpha? ")
            shown.type(answer)
            assert shown.end() == code
    assert len(declared(paths)["alpha"]["keys"]) == 1
    with terminal("provider", "remove", "alpha") as shown:
        shown.until("and delete file:")
        shown.type("y\r")
        assert shown.end() == 0
    assert (declared(paths), kept(paths)) == ({}, [])
    assert shareai("provider", "list", "--json").json["providers"] == []

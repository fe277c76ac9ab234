"""`shareai route` declares what clients ask for."""

from __future__ import annotations

import tomllib

import pytest

from shareai_cli.paths import Paths
from tests.support.commands import shareai


@pytest.fixture(autouse=True)
def providers(paths: Paths) -> None:
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text("# mine\n[providers.openai]\n[providers.groq]\n")


def test_a_route_is_added_shown_listed_and_removed(paths: Paths) -> None:
    """Its whole life; the person's comment stays."""
    assert shareai("route", "list").err.startswith("No routes yet.")
    added = shareai("route", "add", "chat", "openai/gpt-5-mini", "groq/meta/llama-3", "node/x")
    assert added.code == 0
    assert added.out == "Route chat added: priority openai/gpt-5-mini, groq/meta/llama-3, node/x.\n"
    assert shareai("route", "list", "--json").json["routes"] == [
        {
            "name": "chat",
            "strategy": "priority",
            "prefer": None,
            "private": False,
            "fit": False,
            "cache": None,
            "hedge": None,
            "targets": [
                {"target": "openai/gpt-5-mini", "weight": 1},
                {"target": "groq/meta/llama-3", "weight": 1},
                {"target": "node/x", "weight": 1},
            ],
        }
    ]
    assert shareai("route", "show", "chat").out.splitlines()[1].split() == ["openai/gpt-5-mini", "1"]
    assert "priority" in shareai("route", "list").out
    assert shareai("route", "remove", "chat", "--yes", "--json").json["removed"] == "chat"
    assert "chat" not in paths.config_file.read_text()
    assert paths.config_file.read_text().startswith("# mine\n")


def test_a_target_that_this_machine_does_not_serve_is_told_of(paths: Paths) -> None:
    """A model can come later; a slip in its name would show first when the others have failed."""
    outcome = shareai("route", "add", "chat", "openai/a", "node/shareai-demo")
    assert outcome.code == 0
    assert outcome.err.startswith("This machine serves no 'shareai-demo'; ")
    paths.config_file.unlink()
    assert "Did you mean node/shareai-demo?" in shareai("route", "add", "chat", "node/shareai-dem").err
    assert shareai("route", "add", "chat", "node/shareai-demo").err == ""


def test_weights_make_a_route_weighted(paths: Paths) -> None:
    """As TARGET=WEIGHT; the strategy can be said too."""
    outcome = shareai("route", "add", "spread", "openai/a=3", "groq/b", "--json")
    assert outcome.json["route"]["strategy"] == "weighted"
    assert not outcome.json["replaced"]
    assert tomllib.loads(paths.config_file.read_text())["routes"]["spread"]["targets"] == [
        {"target": "openai/a", "weight": 3},
        "groq/b",
    ]
    again = shareai("route", "add", "spread", "openai/a", "groq/b", "--strategy", "weighted")
    assert again.out == "Route spread replaced: weighted openai/a=1, groq/b=1.\n"
    assert shareai("route", "show", "spread").out.split()[:2] == ["TARGET", "WEIGHT"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "chat"), "Missing argument"),
        (("add", "chat", "gpt-5"), "'gpt-5' is not a target"),
        (("add", "chat", "opnai/gpt-5"), "Did you mean openai?"),
        (("add", "chat", "openai/a=0"), "A weight is a whole number"),
        (("add", "chat", "openai/a=x"), "A weight is a whole number"),
        (("add", "chat", "openai/a=99999999999"), "A weight is a whole number"),
        (("add", "a/b", "openai/a"), "is not a route's name"),
        (("add", "chat", "openai/a", "--strategy", "quickest"), "strategy"),
        (("add", "chat", "openai/a", "groq/b", "--hedge", "soon"), "--hedge takes a time"),
        (("add", "chat", "openai/a", "groq/b", "--hedge", "1h"), "--hedge takes a time"),
        (("add", "chat", "openai/a", "--hedge", "2s"), "needs a second target"),
        (("show", "chat"), "There is no route 'chat'"),
        (("remove", "chat"), "There is no route 'chat'"),
        (("lits",), "list"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_code_2(
    paths: Paths, arguments: tuple[str, ...], says: str
) -> None:
    """Nothing is changed, nothing is on stdout, and the message helps."""
    before = paths.config_file.read_bytes()
    outcome = shareai("route", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert paths.config_file.read_bytes() == before


def test_a_target_that_is_there_twice_is_refused(paths: Paths) -> None:
    """In the command line's words, whatever their weights."""
    outcome = shareai("route", "add", "chat", "openai/a", "openai/a=3")
    assert outcome.code == 2
    assert "is there twice" in outcome.err


def test_whom_a_route_prefers_and_never_leaves_is_declared_and_taken_back(paths: Paths) -> None:
    """In words and in the file; a route that is declared anew without it has it no more."""
    arguments = ("route", "add", "chat", "openai/a", "node/x", "--strategy", "cheapest")
    added = shareai(*arguments, "--prefer", "own", "--private")
    assert added.out == "Route chat added: cheapest, own first, private openai/a, node/x.\n"
    declared = tomllib.loads(paths.config_file.read_text())["routes"]["chat"]
    assert (declared["prefer"], declared["private"]) == ("own", True)
    assert shareai("route", "list").out.splitlines()[1].startswith("chat  cheapest, own first, private")
    assert shareai(*arguments).out == "Route chat replaced: cheapest openai/a, node/x.\n"
    declared = tomllib.loads(paths.config_file.read_text())["routes"]["chat"]
    assert set(declared) == {"strategy", "targets"}


def test_hedging_is_declared_and_taken_back(paths: Paths) -> None:
    """In words and in the file, as it was written."""
    arguments = ("route", "add", "chat", "openai/a", "groq/b")
    added = shareai(*arguments, "--hedge", "1500ms")
    assert added.out == "Route chat added: priority, hedged after 1.5 s openai/a, groq/b.\n"
    assert tomllib.loads(paths.config_file.read_text())["routes"]["chat"]["hedge"] == "1500ms"
    assert shareai("route", "show", "chat", "--json").json["route"]["hedge"] == {"after": 1.5, "extra": 0.1}
    assert shareai(*arguments).out == "Route chat replaced: priority openai/a, groq/b.\n"
    assert "hedge" not in paths.config_file.read_text()


def test_weights_are_shown_where_they_count(paths: Paths) -> None:
    """As room where the least busy is asked, not in the order of a list."""
    shareai("route", "add", "chat", "openai/a=4", "node/x", "--strategy", "least-busy")
    assert shareai("route", "show", "chat").out.split() == [
        "TARGET",
        "WEIGHT",
        "openai/a",
        "4",
        "node/x",
        "1",
    ]

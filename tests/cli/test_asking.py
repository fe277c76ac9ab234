"""What destroys asks first: a person at a terminal, and nobody else."""

from __future__ import annotations

import pytest

from shareai_cli.paths import Paths
from tests.support.commands import shareai
from tests.support.terminal import terminal

CONFIGURATION = """\
[providers.alpha]
base_url = "http://127.0.0.1:9/v1"

[routes.chat]
targets = ["alpha/m1"]
"""


@pytest.fixture
def declared(paths: Paths) -> Paths:
    """Declare a route, and make a key."""
    paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(CONFIGURATION)
    assert shareai("key", "create", "laptop").code == 0
    return paths


DESTROYING = (("route", "remove", "chat"), ("key", "revoke", "laptop"))


@pytest.mark.parametrize("words", DESTROYING, ids=" ".join)
def test_nothing_is_destroyed_where_nobody_can_be_asked(words: tuple[str, ...], declared: Paths) -> None:
    """Without a terminal, or where --no-input says so, with the flag that confirms it; --yes does it."""
    for arguments in (words, (*words, "--json"), (*words, "--no-input"), ("--no-input", *words)):
        outcome = shareai(*arguments, stdin="y\n")
        assert (outcome.code, outcome.out) == (2, "")
        assert "Nothing was changed" in outcome.err
        assert "--yes confirms it." in outcome.err
    assert declared.config_file.read_text() == CONFIGURATION
    assert shareai(*words, "--yes").code == 0
    assert shareai(*words, "--yes").code == 2


@pytest.mark.parametrize("words", DESTROYING, ids=" ".join)
def test_a_person_is_asked_and_nothing_typed_means_no(words: tuple[str, ...], declared: Paths) -> None:
    """The question says what would go; no answer changes nothing; --no-input asks nobody there either."""
    for answer, code in (("\r", 1), ("n\r", 1), ("\x04", 1), ("y\r", 0)):
        with terminal(*words) as running:
            running.until("[y/N]")
            running.type(answer)
            assert running.end() == code
    with terminal(*words, "--no-input") as running:
        assert running.end() == 2
        assert "?" not in running.text.replace("Did you mean", "")


def test_what_is_not_there_is_said_before_anybody_is_asked(declared: Paths) -> None:
    """With the nearest name where there is one."""
    assert "There is no route 'chta'" in shareai("route", "remove", "chta").err
    assert "Did you mean 'laptop'?" in shareai("key", "revoke", "lpatop").err

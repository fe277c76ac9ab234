"""`shareai provider key`: keys are added, rotated and removed one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret
from tests.cli.provider.knowing import BAD, GOOD, OTHER, declare, declared, kept
from tests.support.check_server import CheckServer
from tests.support.commands import Outcome, shareai

FINGERPRINT = Secret(GOOD).fingerprint


def key(action: str, *arguments: str, stdin: str = "") -> Outcome:
    return shareai("provider", "key", action, *arguments, stdin=stdin)


def places(paths: Paths) -> list[str]:
    found: list[str] = declared(paths)["alpha"]["keys"]
    return found


def test_keys_are_told_apart_without_being_shown(server: CheckServer) -> None:
    """By their places and fingerprints; one that cannot be had says why."""
    declare(server, "alpha", "GOOD", "MISSING")
    outcome = key("list")
    assert outcome.code == 0
    assert [line.split()[:3] for line in outcome.out.splitlines()[1:]] == [
        ["alpha", "env:GOOD", FINGERPRINT],
        ["alpha", "env:MISSING", "-"],
    ]
    assert "The variable MISSING is not set." in outcome.out
    assert key("list", "alpha", "--json").json["keys"][0] == {
        "provider": "alpha", "key": "env:GOOD", "fingerprint": FINGERPRINT, "problem": None,
    }  # fmt: skip
    assert GOOD not in outcome.out
    assert server.asked == []


def test_a_further_key_joins_once_it_is_accepted(server: CheckServer, paths: Paths) -> None:
    """A wrong one changes nothing."""
    declare(server, "alpha", "GOOD")
    refused = key("add", "alpha", "--key-env", "BAD")
    assert refused.code == 4
    assert places(paths) == ["env:GOOD"]
    added = key("add", "alpha", "--stdin", stdin=OTHER)
    assert added.code == 0
    assert "alpha accepts the key: 2 models" in added.out
    assert "alpha has 2 keys" in added.out
    assert kept(paths) == [OTHER]
    assert places(paths)[0] == "env:GOOD"
    assert OTHER not in added.out + added.err


def test_a_file_beside_the_configuration_goes_by_its_short_place(server: CheckServer, paths: Paths) -> None:
    """As the table shows it, so a command takes it."""
    declare(server, "alpha", "GOOD")
    assert key("add", "alpha", "--stdin", stdin=OTHER).code == 0
    (shown,) = [line.split()[1] for line in key("list").out.splitlines() if "file:" in line]
    assert shown.startswith("file:secrets/alpha-")
    assert key("remove", "alpha", shown, "--yes").code == 0
    assert places(paths) == ["env:GOOD"]


def test_a_key_joins_the_one_that_a_preset_implies(paths: Paths) -> None:
    """Both are written down then."""
    assert shareai("provider", "add", "openai", "--no-check").code == 0
    assert key("add", "openai", "--key-env", "GOOD", "--no-check", "--json").json["provider"]["keys"] == [
        "env:OPENAI_API_KEY", "env:GOOD",
    ]  # fmt: skip


@pytest.mark.parametrize("named", [FINGERPRINT, "env:GOOD", None])
def test_the_new_key_is_accepted_before_the_old_one_goes(
    server: CheckServer, paths: Paths, named: str | None
) -> None:
    """The old one is named by place, by fingerprint, or not at all where there is no other."""
    declare(server, "alpha", "GOOD")
    chosen = ("alpha", *([named] if named else []))
    assert key("rotate", *chosen, "--stdin", stdin=BAD).code == 4
    assert places(paths) == ["env:GOOD"]
    outcome = key("rotate", *chosen, "--stdin", stdin=OTHER)
    assert outcome.code == 0
    (place,) = places(paths)
    assert f"{place} is in the place of env:GOOD." in outcome.out
    assert kept(paths) == [OTHER]


def test_a_rotated_key_is_deleted_and_the_others_stay(server: CheckServer, paths: Paths) -> None:
    """In its place in the list; a kept key goes, the rest is as it was."""
    shareai("provider", "add", "alpha", "--base-url", server.base_url, "--stdin", stdin=GOOD)
    key("add", "alpha", "--key-env", "BAD", "--no-check")
    assert key("rotate", "alpha", FINGERPRINT, "--stdin", stdin=OTHER).code == 0
    assert kept(paths) == [OTHER]
    assert places(paths)[1] == "env:BAD"
    assert key("rotate", "alpha", "env:BAD", "--key-env", "GOOD", "--json").json["new"] == "env:GOOD"
    assert places(paths)[1] == "env:GOOD"


def test_rotating_a_key_into_itself_loses_nothing(server: CheckServer, paths: Paths) -> None:
    """It is neither deleted nor taken out of the list."""
    shareai("provider", "add", "alpha", "--base-url", server.base_url, "--stdin", stdin=GOOD)
    before = places(paths)
    assert key("rotate", "alpha", "--stdin", stdin=GOOD).code == 0
    assert (places(paths), kept(paths)) == (before, [GOOD])


def test_rotating_into_a_key_that_is_there_leaves_one_of_them(server: CheckServer, paths: Paths) -> None:
    """No key is there twice."""
    declare(server, "alpha", "GOOD", "BAD")
    assert key("rotate", "alpha", "env:BAD", "--key-env", "GOOD").code == 0
    assert places(paths) == ["env:GOOD"]


def test_a_removed_key_is_deleted_where_it_was_kept(server: CheckServer, paths: Paths) -> None:
    """Only there: variables and a person's own files stay; nobody being there to ask, it wants to be said."""
    shareai("provider", "add", "alpha", "--base-url", server.base_url, "--stdin", stdin=GOOD)
    key("add", "alpha", "--key-env", "BAD", "--no-check")
    unconfirmed = key("remove", "alpha", FINGERPRINT)
    assert unconfirmed.code == 2
    assert "--yes" in unconfirmed.err
    assert kept(paths) == [GOOD]
    outcome = key("remove", "alpha", FINGERPRINT, "--yes")
    assert outcome.code == 0
    assert outcome.out.endswith("is removed; alpha has 1 key.\n")
    assert (places(paths), kept(paths)) == (["env:BAD"], [])


def test_the_only_key_is_not_removed(server: CheckServer, paths: Paths) -> None:
    """A provider without its key is none: what to do instead is said."""
    declare(server, "alpha", "GOOD")
    outcome = key("remove", "alpha", "--yes")
    assert outcome.code == 2
    assert "shareai provider remove alpha" in outcome.err
    assert "shareai provider key rotate alpha" in outcome.err
    assert places(paths) == ["env:GOOD"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rotate", "alpha", "--key-env", "GOOD"), "alpha has 2 keys: say which."),
        (("remove", "alpha", "--yes"), "alpha has 2 keys: say which."),
        (("remove", "alpha", "env:NOPE", "--yes"), "alpha has no key 'env:NOPE'."),
        (("remove", "alpha", GOOD, "--yes"), "alpha has no key '********'."),
        (("rotate", "alpha", "env:BAD", "--key-env", "GOOD", "--key-env", "BAD"), "One key takes another's"),
        (("rotate", "alpha", "env:BAD"), "nobody can be asked here"),
        (("add", "alpha"), "nobody can be asked here"),
        (("add", "local", "--key-env", "A B"), "--key-env"),
        (("remove", "local", "--yes"), "local has no key."),
    ],
)
def test_a_mistake_changes_nothing(
    server: CheckServer, paths: Paths, arguments: tuple[str, ...], says: str
) -> None:
    """And shows no key, should one have been typed where a name belongs."""
    declare(server, "alpha", "GOOD", "BAD")
    declare(server, "local")
    before = paths.config_file.read_bytes()
    outcome = key(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert GOOD not in outcome.err
    assert paths.config_file.read_bytes() == before


def test_removing_a_provider_deletes_the_keys_kept_for_it(
    server: CheckServer, paths: Paths, tmp_path: Path
) -> None:
    """A person's own key files stay, and so does everything until it is confirmed."""
    own = tmp_path / "own.key"
    own.write_text(OTHER)
    own.chmod(0o600)
    options = ("--base-url", server.base_url, "--stdin", "--key-file", str(own))
    assert shareai("provider", "add", "alpha", *options, stdin=GOOD).code == 0
    assert shareai("provider", "remove", "alpha").code == 2
    assert kept(paths) == [GOOD]
    assert shareai("provider", "remove", "alpha", "--yes") == (0, "Provider alpha is removed.\n", "")
    assert (declared(paths), kept(paths)) == ({}, [])
    assert own.read_text() == OTHER


def test_a_key_that_another_provider_uses_is_not_deleted(server: CheckServer, paths: Paths) -> None:
    """A person may have named the same file twice."""
    shareai("provider", "add", "alpha", "--base-url", server.base_url, "--stdin", stdin=GOOD)
    (file,) = paths.secrets.iterdir()
    shareai("provider", "add", "beta", "--base-url", server.base_url, "--key-file", str(file))
    assert shareai("provider", "remove", "alpha", "--yes").code == 0
    assert kept(paths) == [GOOD]
    assert shareai("provider", "test").code == 0

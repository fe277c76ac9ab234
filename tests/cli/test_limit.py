"""`shareai limit`, `shareai team` and `shareai key set`: what commands make of them without a gateway."""

from __future__ import annotations

import pytest

from shareai_cli.ledger import Store
from shareai_cli.paths import Paths
from shareai_cli.types import KeyChanges
from tests.support.commands import shareai


@pytest.fixture(autouse=True)
def configuration(paths: Paths) -> None:
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text('# mine\n[providers.openai]\n[routes.chat]\ntargets = ["openai/m"]\n')


def test_limits_are_kept_where_their_subject_lives(paths: Paths) -> None:
    """In the file for what is declared there, in the database for teams and keys; one list of all."""
    assert shareai("limit", "list").err.startswith("No limits.")
    assert shareai("team", "create", "dev").out == "Team dev is made.\n"
    assert shareai("key", "create", "a b", "--team", "dev").code == 0
    for subject in ("organization", "route/chat", "target/openai/m", "team/dev", "key/a b"):
        done = shareai("limit", "set", subject, "requests_per_minute=60", "budget_per_month=50usd")
        assert done.out == f"{subject}: requests_per_minute=60, budget_per_month=50 USD.\n", done.err
        assert shareai("limit", "list", subject, "--json").json["limits"] == [
            {"subject": subject, "limits": {"requests_per_minute": 60, "budget_per_month": "50 USD"}}
        ]
    text = paths.config_file.read_text()
    assert text.startswith("# mine\n[providers.openai]\n")
    assert text.count('requests_per_minute = 60\nbudget_per_month = "50 USD"') == 3
    assert "dev" not in text
    shown = shareai("config", "show").out
    assert '[limits.targets."openai/m"]\nrequests_per_minute = 60\nbudget_per_month = "50 USD"' in shown
    origins = shareai("config", "show", "--origin").out
    (line,) = (one for one in origins.splitlines() if one.startswith("limits.routes.chat.budget_per_month"))
    place = text.splitlines().index("[limits.routes.chat]") + 3
    assert line.split()[-3:] == ["config.toml,", "line", str(place)]
    lines = shareai("limit", "list").out.splitlines()
    assert len(lines) == 1 + 5 * 2
    assert "USD" in lines[2]
    assert [one["subject"] for one in shareai("limit", "list", "--json").json["limits"]] == [
        "organization",
        "route/chat",
        "target/openai/m",
        "team/dev",
        "key/a b",
    ]


@pytest.mark.parametrize("subject", ["organization", "team/default"])
def test_limits_are_taken_away_one_by_one_or_all_at_once(subject: str) -> None:
    """All of them only once that is confirmed."""
    shareai("limit", "set", subject, "requests_per_minute=60", "tokens_per_day=5", "concurrent_requests=2")
    done = shareai("limit", "remove", subject, "tokens_per_day")
    assert done.out == f"{subject}: requests_per_minute=60, concurrent_requests=2.\n"
    again = shareai("limit", "remove", subject, "tokens_per_day")
    assert (again.code, "It has requests_per_minute, concurrent_requests." in again.err) == (2, True)
    refused = shareai("limit", "remove", subject, "--no-input")
    assert refused.code != 0
    assert "--yes" in refused.err
    assert shareai("limit", "remove", subject, "--yes", "--json").json == {
        "schema": 1,
        "subject": subject,
        "limits": {},
    }
    assert "has no limits" in shareai("limit", "remove", subject, "--yes").err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("limit", "set", "team/dve", "requests_per_day=1"), "Did you mean 'dev'?"),
        (("limit", "set", "key/c", "requests_per_day=1"), "Did you mean 'ci'?"),
        (("limit", "set", "route/chta", "requests_per_day=1"), "Did you mean chat?"),
        (("limit", "set", "target/opnai/m", "requests_per_day=1"), "Did you mean openai?"),
        (("limit", "set", "team/dev", "requests_per_day"), "requests_per_day=60"),
        (("limit", "set", "team/dev", "requests_per_day=0"), "from 1 to"),
        (("limit", "set", "team/dev", "budget_total=50"), "'budget_total=50 USD'"),
        (("limit", "set", "team/dev", "budget_total=50 EUR"), "'50 EUR'"),
        (("limit", "set", "team/dev", "a=1"), "there is no such limit"),
        (("limit", "set", "team/dev", "requests_per_day=1", "requests_per_day=2"), "is there twice"),
        (("limit", "set", "team/dev"), "Missing argument"),
        (("limit", "list", "team/dve"), "Did you mean 'dev'?"),
        (("limit", "list", "dev"), "team/dev"),
        (("limit", "remove", "key/ci", "requests_per_day"), "It has no limits."),
        (("team", "create", "dev"), "already"),
        (("team", "create", ""), "no name"),
        (("team", "create", "x", "--limit", "requests_per_day=x"), "requests_per_day=60"),
        (("team", "show", "dve"), "Did you mean 'dev'?"),
        (("team", "remove", "dve", "--yes"), "Did you mean 'dev'?"),
        (("team", "remove", "default", "--yes"), "always exists"),
        (("team", "remove", "dev", "--yes"), "key revoke ci"),
        (("key", "create", "x", "--team", "dve"), "Did you mean 'dev'?"),
        (("key", "create", "x", "--team", "ops"), "shareai team create NAME"),
        (("key", "create", "x", "--prefer", "mine"), "It takes own or cloud."),
        (("key", "create", "x", "--limit", "requests_per_day=1", "--limit", "requests_per_day=1"), "twice"),
        (("key", "set", "ci"), "What is to be changed?"),
        (("key", "set", "c", "--prefer", "own"), "Did you mean 'ci'?"),
        (("key", "set", "ci", "--allow", "gpt-*"), "names no model"),
        (("key", "set", "ci", "--allow", "everything", "--allow", "chat"), "goes with no other"),
        (("key", "set", "ci", "--expires", "soon"), "no time to come"),
    ],
)
def test_a_mistake_is_told_with_what_was_meant(arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2, and nothing is changed."""
    shareai("team", "create", "dev")
    shareai("key", "create", "ci", "--team", "dev")
    before = (shareai("limit", "list").out, shareai("key", "list").out, shareai("team", "list").out)
    outcome = shareai(*arguments)
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert says in outcome.err
    assert (shareai("limit", "list").out, shareai("key", "list").out, shareai("team", "list").out) == before


def test_a_team_is_listed_shown_and_removed() -> None:
    """With its valid keys and its limits; once they are gone it can go."""
    done = shareai("team", "create", "dev", "--limit", "budget_total=5 USD", "--limit", "tokens_per_day=7")
    assert done.out == "Team dev is made: tokens_per_day=7, budget_total=5 USD.\n"
    shareai("key", "create", "ci", "--team", "dev")
    assert [line.split()[:2] for line in shareai("team", "list").out.splitlines()[1:]] == [
        ["default", "0"],
        ["dev", "1"],
    ]
    team = shareai("team", "show", "dev", "--json").json["team"]
    assert (team["key_names"], team["limits"]) == (["ci"], {"tokens_per_day": 7, "budget_total": "5 USD"})
    assert "tokens_per_day=7, budget_total=5 USD" in shareai("team", "show", "dev").out
    shareai("key", "revoke", "ci", "--yes")
    assert shareai("team", "remove", "dev", "--yes", "--json").json["removed"]["name"] == "dev"
    assert [one["name"] for one in shareai("team", "list", "--json").json["teams"]] == ["default"]


def test_revoking_a_key_names_those_that_end_with_it(paths: Paths) -> None:
    """Whoever is asked knows how many; what is printed afterwards tells which."""
    shareai("key", "create", "ci", "--may-mint")
    store = Store(paths.database)
    (caller,) = store.active_keys().values()
    for name in ("job-1", "job-2"):
        store.mint_key(caller, name, name.encode().ljust(32), KeyChanges())
    store.close()
    assert shareai("key", "revoke", "job-1", "--yes").out.endswith("is revoked.\n")
    assert "and with it: job-2." in shareai("key", "revoke", "ci", "--yes").out


def test_a_key_is_made_and_changed() -> None:
    """All that can be said of it; what is not said stays."""
    options = ("--allow", "chat", "--prefer", "own", "--may-mint", "--limit", "tokens_per_day=7")
    made = shareai("key", "create", "ci", *options, "--json").json
    assert (made["allowed"], made["prefer"], made["may_mint"], made["limits"]) == (
        ["chat"],
        "own",
        True,
        {"tokens_per_day": 7},
    )
    shown = shareai("key", "show", "ci").out
    assert "own machines" in shown
    assert "tokens_per_day=7" in shown
    changed = shareai(
        "key", "set", "ci", "--prefer-model", "chat", "--limit", "requests_per_day=1", "--json"
    ).json
    assert (changed["preferences"], changed["limits"]) == (
        ["chat"],
        {"requests_per_day": 1, "tokens_per_day": 7},
    )
    assert (changed["allowed"], changed["prefer"], changed["may_mint"]) == (["chat"], "own", True)
    options = ("--allow", "everything", "--prefer-model", "none", "--prefer", "none", "--no-may-mint")
    plain = shareai("key", "set", "ci", *options, "--expires", "never", "--json").json
    assert (plain["allowed"], plain["preferences"], plain["prefer"], plain["may_mint"]) == (
        [],
        [],
        None,
        False,
    )
    assert shareai("key", "set", "ci", "--expires", "1h", "--json").json["expires_ms"] is not None
    assert "Expires" in shareai("key", "set", "ci", "--expires", "2027-01-31").out

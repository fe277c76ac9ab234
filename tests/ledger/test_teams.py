"""Teams, their limits, and the limits of keys, as the database has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlite_utils import Database

from shareai_cli.errors import UsageError
from shareai_cli.ledger import Store, list_audit, usage_report
from shareai_cli.ledger.schema import migrations
from shareai_cli.paths import Paths
from shareai_cli.types import Actor, Budget, KeyChanges, KeySettings, Limits, RateLimit, Subject
from tests.ledger.making import closed, open_ledger
from tests.support.clock import FakeClock

START_MS = 1_790_000_000_000
BY = Actor("anna", "command")
SIXTY = Limits((RateLimit("requests", "minute", 60),))


@pytest.fixture
def store(paths: Paths) -> Iterator[Store]:
    paths.make_state()
    store = Store(paths.database, FakeClock(START_MS / 1000))
    yield store
    store.close()


def actions(store: Store) -> list[tuple[str, str]]:
    return [(row.action, row.subject) for row in list_audit(store.path, 100)]


def test_the_default_team_is_always_there(store: Store) -> None:
    """In a new database, and nobody removes it or makes it again."""
    assert [team.name for team in store.list_teams()] == ["default"]
    with pytest.raises(UsageError, match="always exists"):
        store.remove_team("default")
    with pytest.raises(UsageError, match="already"):
        store.create_team("default", {})
    assert actions(store) == []


def test_a_team_comes_changes_and_goes(store: Store) -> None:
    """Each with its row in the audit, before and after; a change that changes nothing has none."""
    made = store.create_team("dev", {"budget_per_month": "50usd", "requests_per_minute": 60}, by=BY)
    assert made.limits == {"requests_per_minute": 60, "budget_per_month": "50 USD"}
    changed = store.change_team("dev", {"budget_per_month": None, "tokens_per_day": 9}, by=BY)
    assert changed.limits == {"requests_per_minute": 60, "tokens_per_day": 9}
    store.change_team("dev", {"tokens_per_day": 9}, by=BY)
    removed = store.remove_team("dev", by=BY)
    assert (removed.id, removed.removed_ms) == (made.id, START_MS)
    assert [team.name for team in store.list_teams()] == ["default"]
    rows = list_audit(store.path, 100)
    assert [(row.action, row.subject, row.actor) for row in rows] == [
        ("team.create", "dev", "anna"),
        ("team.change", "dev", "anna"),
        ("team.remove", "dev", "anna"),
    ]
    assert rows[0].before is None
    assert '"budget_per_month":"50 USD"' in (rows[1].before or "")
    assert '"tokens_per_day":9' in (rows[1].after or "")
    assert rows[2].after is None
    assert store.create_team("dev", {}).id != made.id


def test_a_team_with_keys_stays(store: Store) -> None:
    """Until the last of them is revoked."""
    store.create_team("dev", {})
    for number in range(7):
        store.create_key(f"key{number}", bytes([number]) * 32, KeySettings("dev"))
    with pytest.raises(UsageError, match="key4 and 2 more") as refused:
        store.remove_team("dev")
    assert refused.value.hint == "Revoke them first: shareai key revoke key0"
    for number in range(7):
        store.revoke_key(f"key{number}")
    assert store.remove_team("dev").keys == 0


def test_a_key_is_of_a_team_that_there_is(store: Store) -> None:
    """Else the nearest is told, or how it is made; nothing is made."""
    store.create_team("dev", {})
    for name, hint in (("dve", "Did you mean 'dev'?"), ("research", "shareai team create NAME makes one.")):
        with pytest.raises(UsageError, match=f"no team named '{name}'") as refused:
            store.create_key("ci", b"a" * 32, KeySettings(name))
        assert refused.value.hint == hint
    with pytest.raises(UsageError, match="no team") as refused:
        store.remove_team("\x1b[31mdev")
    assert refused.value.message.isprintable()
    store.remove_team("dev")
    with pytest.raises(UsageError, match="no team"):
        store.create_key("ci", b"a" * 32, KeySettings("dev"))
    assert store.list_keys() == []


@pytest.mark.parametrize(
    "limits",
    [{"requests_per_minute": 0}, {"budget_total": "50"}, {"nothing": 1}, {"requests_per_minute": "60"}],
)
def test_limits_that_cannot_be_are_kept_nowhere(store: Store, limits: dict[str, int | str]) -> None:
    """Neither of teams nor of keys."""
    store.create_key("ci", b"a" * 32)
    former = (store.list_keys(), store.list_teams(), actions(store))
    for change in (
        lambda: store.create_team("dev", limits),
        lambda: store.change_team("default", limits),
        lambda: store.create_key("other", b"b" * 32, KeySettings(limits=limits)),
        lambda: store.change_key("ci", KeyChanges(limits=limits)),
    ):
        with pytest.raises(UsageError):
            change()
    assert (store.list_keys(), store.list_teams(), actions(store)) == former


def test_the_limits_of_teams_and_keys_are_told_together(store: Store) -> None:
    """Of those that there are, and that have any."""
    store.create_team("dev", {"requests_per_minute": 60})
    store.create_team("gone", {"requests_per_minute": 60})
    store.remove_team("gone")
    key = store.create_key("ci", b"a" * 32, KeySettings(limits={"budget_total": "1 USD"}))
    store.create_key("plain", b"b" * 32)
    store.create_key("ended", b"c" * 32, KeySettings(limits={"budget_total": "1 USD"}))
    store.revoke_key("ended")
    assert store.limits() == {
        Subject("team", "dev"): SIXTY,
        Subject("key", "ci", (key.id,)): Limits(budgets=(Budget("total", 10**9),)),
    }


def test_a_key_changes(store: Store) -> None:
    """What is said, and no more; in the audit before and after, unless nothing has changed."""
    store.create_key("ci", b"a" * 32, KeySettings(allowed=("chat",), limits={"requests_per_minute": 60}))
    changed = store.change_key(
        "ci", KeyChanges(prefer="own", may_mint=True, expires_ms=START_MS + 5, limits={"tokens_per_day": 7})
    )
    assert (changed.allowed, changed.prefer, changed.may_mint, changed.expires_ms) == (
        ("chat",),
        "own",
        True,
        START_MS + 5,
    )
    assert changed.limits == {"requests_per_minute": 60, "tokens_per_day": 7}
    assert store.active_keys()[b"a" * 32].prefer == "own"
    assert store.change_key("ci", KeyChanges(prefer="own")) == changed
    plain = store.change_key("ci", KeyChanges(allowed=(), prefer=None, may_mint=False, expires_ms=None))
    assert (plain.allowed, plain.prefer, plain.may_mint, plain.expires_ms) == ((), None, False, None)
    assert [row.action for row in list_audit(store.path, 9)] == ["key.create", "key.change", "key.change"]
    for wrong in (KeyChanges(allowed=("gpt-*",)), KeyChanges(expires_ms=START_MS)):
        with pytest.raises(UsageError):
            store.change_key("ci", wrong)
    with pytest.raises(UsageError, match="Did you mean 'ci'"):
        store.change_key("cii", KeyChanges(prefer="own"))
    assert store.list_keys() == [plain]


def test_an_expired_key_can_be_changed(paths: Paths) -> None:
    """Its end, too: it is valid again then, as it was never revoked."""
    paths.make_state()
    clock = FakeClock(START_MS / 1000)
    store = Store(paths.database, clock)
    store.create_key("ci", b"a" * 32, KeySettings(expires_ms=START_MS + 5))
    clock.forward(10)
    assert store.change_key("ci", KeyChanges(prefer="own")).expires_ms == START_MS + 5
    assert store.change_key("ci", KeyChanges(expires_ms=START_MS + 20_000)).expires_ms == START_MS + 20_000
    store.close()


def test_teams_of_before_are_there_with_what_they_used(paths: Paths) -> None:
    """A database without teams is migrated: those of its keys exist, and have the sums of its rows."""
    paths.make_state()
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as connection:
        migrations().apply(Database(connection), stop_before="teams_and_limits")
        connection.execute("PRAGMA user_version = 5")
        connection.execute("INSERT INTO names (id, name) VALUES (1, 'default'), (2, 'red'), (3, 'blue')")
        keys = ((1, "red", None), (2, "red", 9), (3, "default", None), (4, "blue", 9))
        for number, team, revoked_ms in keys:
            connection.execute(
                "INSERT INTO keys (id, name, digest, team, shown, created_ms, revoked_ms) "
                "VALUES (?, ?, ?, ?, 's', 5, ?)",
                (number, f"key{number}", bytes([number]) * 32, team, revoked_ms),
            )
        zeros = {name: 0 for (_, name, *_) in connection.execute("PRAGMA table_info(hourly)")}
        for hour in (0, 1):
            for number in (1, 2, 3, 4):
                sums = zeros | {"requests": number, "prompt": 10, "cost_nano": 100}
                row = sums | {"dimension": 3, "hour": hour, "name": number}
                marks = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO hourly ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
                )
    store = Store(paths.database)
    assert [(team.name, team.keys) for team in store.list_teams()] == [("default", 1), ("red", 1)]
    assert store.limits() == {}
    assert {caller.team for caller in store.active_keys().values()} == {"default", "red"}
    store.close()
    rows = {row.name: row for row in usage_report(paths, by="team").rows}
    assert {name: (row.requests, row.prompt_tokens, row.cost_nano_usd) for name, row in rows.items()} == {
        "default": (6, 20, 200),
        "red": (6, 40, 400),
        "blue": (8, 20, 200),
    }
    by_key = usage_report(paths, by="key").total
    assert usage_report(paths, by="team").total == by_key
    ledger = open_ledger(paths)
    ledger.closed(closed(1, team="red"))
    ledger.close()
    assert {row.name: row.requests for row in usage_report(paths, by="team").rows}["red"] == 7

"""What a key is for, as the database has it, and how its secret is replaced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from shareai_cli.errors import UsageError
from shareai_cli.ledger import Store
from shareai_cli.ledger.key_settings import MOST_NAMES
from shareai_cli.ledger.schema import migrations
from shareai_cli.paths import Paths
from shareai_cli.types import Caller, KeySettings
from tests.support.clock import FakeClock

START_MS = 1_790_000_000_000
FIRST, SECOND, THIRD = (letter * 32 for letter in (b"a", b"b", b"c"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START_MS / 1000)


@pytest.fixture
def store(paths: Paths, clock: FakeClock) -> Iterator[Store]:
    paths.make_state()
    store = Store(paths.database, clock)
    store.create_team("red", {})
    yield store
    store.close()


def ends(store: Store) -> dict[bytes, int | None]:
    """Return when each secret that is known stops being valid."""
    return {digest: caller.expires_ms for digest, caller in store.active_keys().items()}


def test_what_a_key_is_for_is_kept(store: Store, paths: Paths) -> None:
    """Whoever presents it is known with all of it, also after a restart."""
    wanted = KeySettings("red", ("chat", "a/*"), ("chat", "a/m"), START_MS + 1)
    made = store.create_key("laptop", FIRST, wanted)
    assert (made.team, made.allowed, made.preferences, made.expires_ms) == (
        "red",
        ("chat", "a/*"),
        ("chat", "a/m"),
        START_MS + 1,
    )
    again = Store(paths.database)
    assert again.list_keys() == [made]
    assert again.active_keys() == {
        FIRST: Caller(made.id, "laptop", "red", ("chat", "a/*"), ("chat", "a/m"), START_MS + 1)
    }
    again.close()


@pytest.mark.parametrize(
    "wanted",
    [
        KeySettings(allowed=("gpt-*",)),
        KeySettings(allowed=("*",)),
        KeySettings(allowed=("/*",)),
        KeySettings(allowed=("a/*/*",)),
        KeySettings(allowed=("",)),
        KeySettings(allowed=("a\x1b[31m",)),
        KeySettings(allowed=("m" * 257,)),
        KeySettings(allowed=("m",) * (MOST_NAMES + 1)),
        KeySettings(preferences=("a/*",)),
        KeySettings(preferences=("auto",)),
        KeySettings(expires_ms=START_MS),
        KeySettings(expires_ms=-1),
        KeySettings(expires_ms=1 << 62),
    ],
    ids=repr,
)
def test_what_no_key_can_be_for_is_refused(store: Store, wanted: KeySettings) -> None:
    """In words without control sequences, and nothing is made."""
    with pytest.raises(UsageError) as refused:
        store.create_key("laptop", FIRST, wanted)
    assert refused.value.hint is None or refused.value.hint.isprintable()
    assert refused.value.message.isprintable()
    assert store.list_keys() == []


def test_a_rotated_key_stays_the_same_key(store: Store, clock: FakeClock) -> None:
    """With its id, and so its accounts, and what it is for; both secrets are known until the overlap ends."""
    made = store.create_key("laptop", FIRST, KeySettings("red", ("chat",)), shown="one")
    clock.forward(10)
    rotated = store.rotate_key("laptop", SECOND, overlap_ms=3_600_000, shown="two")
    assert (rotated.id, rotated.team, rotated.allowed, rotated.created_ms) == (
        made.id,
        "red",
        ("chat",),
        START_MS,
    )
    assert (rotated.shown, rotated.rotated_ms) == ("two", START_MS + 10_000)
    assert rotated.former_until_ms == START_MS + 3_610_000
    assert store.list_keys() == [rotated]
    assert ends(store) == {FIRST: START_MS + 3_610_000, SECOND: None}
    assert {caller.key_id for caller in store.active_keys().values()} == {made.id}


def test_a_former_secret_never_outlives_its_key(store: Store) -> None:
    """However long the overlap."""
    store.create_key("laptop", FIRST, KeySettings(expires_ms=START_MS + 5))
    store.rotate_key("laptop", SECOND, overlap_ms=1000)
    assert ends(store) == {FIRST: START_MS + 5, SECOND: START_MS + 5}


def test_rotating_again_ends_what_was_valid_longer(store: Store) -> None:
    """So that a secret which got out can be ended at once, whatever overlap was given before."""
    store.create_key("laptop", FIRST)
    store.rotate_key("laptop", SECOND, overlap_ms=1000)
    store.rotate_key("laptop", THIRD)
    assert ends(store) == {FIRST: START_MS, SECOND: START_MS, THIRD: None}


def test_revoking_ends_every_secret_of_a_key(store: Store) -> None:
    """And of no other; a key made later under its name has nothing to do with them."""
    store.create_key("phone", b"p" * 32)
    store.create_key("laptop", FIRST)
    store.rotate_key("laptop", SECOND, overlap_ms=1000)
    store.revoke_key("laptop")
    store.create_key("laptop", THIRD)
    assert ends(store) == {b"p" * 32: None, THIRD: None}


def test_a_key_that_is_not_there_is_not_rotated(store: Store) -> None:
    """A revoked one neither; the nearest is named."""
    store.create_key("laptop", FIRST)
    with pytest.raises(UsageError, match="Did you mean 'laptop'"):
        store.rotate_key("labtop", SECOND)
    store.revoke_key("laptop")
    with pytest.raises(UsageError, match="no valid key"):
        store.rotate_key("laptop", SECOND)
    assert store.active_keys() == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6))
def test_a_secret_is_valid_until_the_earliest_end_that_it_was_given(
    store: Store, clock: FakeClock, rotations: list[tuple[int, int]]
) -> None:
    """Over any rotations, of which each may shorten what those before it allowed, and none lengthen it."""
    with store.transaction() as connection:
        connection.execute("DELETE FROM keys")
        connection.execute("DELETE FROM former_digests")
    clock.now = START_MS / 1000
    digests = [bytes([number]) * 32 for number in range(len(rotations) + 1)]
    store.create_key("laptop", digests[0])
    until: dict[bytes, int] = {}
    now_ms = START_MS
    for number, (seconds, overlap) in enumerate(rotations):
        clock.forward(seconds)
        now_ms += seconds * 1000
        end = now_ms + overlap * 1000
        until = {digest: min(held, end) for digest, held in until.items()} | {digests[number]: end}
        store.rotate_key("laptop", digests[number + 1], overlap_ms=overlap * 1000)
    known = ends(store)
    assert known.pop(digests[len(rotations)]) is None
    valid = {digest: end for digest, end in known.items() if end is not None and end > now_ms}
    assert valid == {digest: end for digest, end in until.items() if end > now_ms}


def test_keys_of_before_are_for_everything(paths: Paths) -> None:
    """A database without these columns is migrated, and its keys are as they were."""
    paths.make_state()
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as connection:
        migrations().apply(Database(connection), stop_before="settings_of_keys")
        connection.execute("PRAGMA user_version = 3")
        connection.execute(
            "INSERT INTO keys (name, digest, team, shown, created_ms) VALUES ('old', ?, 'default', 's', 5)",
            (FIRST,),
        )
    store = Store(paths.database)
    assert store.active_keys() == {FIRST: Caller(1, "old", "default")}
    assert store.rotate_key("old", SECOND).id == 1
    store.close()

"""Keys that keys make: for nothing that the key is not for, and no longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from shareai_cli.errors import (
    AuthenticationFailed,
    PermissionRefused,
    RateLimited,
    ShareAIError,
    UnknownKey,
    UsageError,
)
from shareai_cli.gateway.permission import may_use
from shareai_cli.ledger import Store, list_audit
from shareai_cli.ledger.minting import DEEPEST, MOST_AN_HOUR, MOST_MINTED
from shareai_cli.paths import Paths
from shareai_cli.types import Caller, KeyChanges, KeySettings, Preference
from tests.support.clock import FakeClock

START_MS = 1_790_000_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START_MS / 1000)


@pytest.fixture
def store(paths: Paths, clock: FakeClock) -> Iterator[Store]:
    paths.make_state()
    store = Store(paths.database, clock)
    yield store
    store.close()


def digest_of(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def caller_of(store: Store, name: str) -> Caller:
    return store.active_keys()[digest_of(name)]


def mint(store: Store, parent: str, name: str, **wanted: Any) -> Caller:
    """Mint a key as whoever presents the parent does, and return who presents it."""
    store.mint_key(caller_of(store, parent), name, digest_of(name), KeyChanges(**wanted))
    return caller_of(store, name)


def make(store: Store, **settings: Any) -> Caller:
    """Make a key that may mint."""
    store.create_key("ci", digest_of("ci"), KeySettings(may_mint=True, **settings))
    return caller_of(store, "ci")


def test_what_is_not_wanted_comes_from_the_key_that_mints(store: Store) -> None:
    """All but minting itself and limits: those of the one above count for both."""
    store.create_team("dev", {})
    end = START_MS + 1000
    parent = make(store, team="dev", allowed=("chat", "a/*"), preferences=("chat",), expires_ms=end,
                  prefer="own", limits={"requests_per_minute": 6})  # fmt: skip
    child = mint(store, "ci", "job")
    assert child == Caller(
        child.key_id, "job", "dev", ("chat", "a/*"), ("chat",), end, "own", (parent.key_id,)
    )
    key = next(key for key in store.list_keys() if key.name == "job")
    assert (key.parent, key.may_mint, key.limits) == (parent.key_id, False, {})
    narrow = mint(store, "ci", "narrow", allowed=("a/m",), expires_ms=end - 1, limits={"tokens_per_day": 5},
                  preferences=("a/m",), may_mint=True)  # fmt: skip
    assert (narrow.allowed, narrow.expires_ms, narrow.preferences) == (("a/m",), end - 1, ("a/m",))
    deeper = mint(store, "narrow", "deeper")
    assert deeper.ancestors == (narrow.key_id, parent.key_id)
    (subject, *_) = [one for one in store.limits() if one.name == "ci"]
    assert subject.keys == (parent.key_id, child.key_id, narrow.key_id, deeper.key_id)
    store.revoke_key("job")
    assert subject in store.limits(), "what a revoked one has used still counts"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"allowed": ()}, "every model"),
        ({"allowed": ("chat", "b/m")}, "'b/m'"),
        ({"allowed": ("a",)}, "'a'"),
        ({"allowed": ("b/*",)}, "'b/*'"),
        ({"expires_ms": None}, "valid for longer"),
        ({"expires_ms": START_MS + 1001}, "valid for longer"),
        ({"prefer": "cloud"}, "prefers 'own'"),
        ({"prefer": None}, "prefers 'own'"),
    ],
)
def test_a_wider_key_is_refused(store: Store, wanted: Mapping[str, Any], says: str) -> None:
    """With a 403 that says in what, and nothing is made."""
    make(store, allowed=("chat", "a/*"), expires_ms=START_MS + 1000, prefer="own")
    with pytest.raises(PermissionRefused, match="key that it is minted from") as refused:
        mint(store, "ci", "job", **wanted)
    assert says in refused.value.message
    assert refused.value.hint
    assert [key.name for key in store.list_keys()] == ["ci"]


@pytest.mark.parametrize(
    ("name", "wanted", "says"),
    [
        ("", {}, "no name"),
        ("\x1b[31m", {}, "no name"),
        ("ci", {}, "named 'ci' already"),
        ("job", {"allowed": ("gpt-*",)}, "names no model"),
        ("job", {"allowed": ("m",) * 101}, "at most 100"),
        ("job", {"expires_ms": START_MS - 1}, "a time to come"),
        ("job", {"expires_ms": 1 << 62}, "a time to come"),
        ("job", {"limits": {"requests_per_minute": 0}}, "from 1 to"),
        ("job", {"limits": {"budget_total": "5"}}, "US dollars"),
        ("job", {"limits": {"budget_total": None}}, "is not set"),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    store: Store, name: str, wanted: Mapping[str, Any], says: str
) -> None:
    """As where a person makes it."""
    make(store)
    with pytest.raises(UsageError, match=says):
        mint(store, "ci", name, **wanted)
    assert [key.name for key in store.list_keys()] == ["ci"]


def test_only_a_key_that_may_mint_mints(store: Store) -> None:
    """As long as all above it may: letting none of them mint any more is enough."""
    store.create_key("plain", digest_of("plain"))
    with pytest.raises(PermissionRefused, match="may not mint") as refused:
        mint(store, "plain", "job")
    assert refused.value.hint == "Who runs the gateway can let it: shareai key set plain --may-mint"
    make(store)
    mint(store, "ci", "sub", may_mint=True)
    mint(store, "sub", "job")
    store.change_key("ci", KeyChanges(may_mint=False))
    for parent in ("ci", "sub", "job"):
        with pytest.raises(PermissionRefused, match="may not mint"):
            mint(store, parent, "more")


def test_revoking_a_key_ends_those_minted_from_it(store: Store) -> None:
    """All of them, each with a row of the audit, and no others."""
    make(store)
    mint(store, "ci", "sub", may_mint=True)
    mint(store, "sub", "job")
    mint(store, "ci", "sibling")
    presented = caller_of(store, "sub")
    store.revoke_key("sub")
    assert {caller.key_name for caller in store.active_keys().values()} == {"ci", "sibling"}
    rows = [(row.action, row.subject) for row in list_audit(store.path, 2)]
    assert rows == [("key.revoke", "sub"), ("key.revoke", "job")]
    with pytest.raises(AuthenticationFailed):
        store.mint_key(presented, "late", digest_of("late"), KeyChanges())
    store.revoke_key("ci")
    assert store.active_keys() == {}


def test_a_key_ends_and_narrows_with_the_one_above(store: Store, clock: FakeClock) -> None:
    """Also where that one was changed later."""
    make(store)
    mint(store, "ci", "sub", may_mint=True)
    mint(store, "sub", "job")
    store.change_key("ci", KeyChanges(allowed=("chat",), expires_ms=START_MS + 500))
    job = caller_of(store, "job")
    assert (job.bounds, job.expires_ms) == ((("chat",),), START_MS + 500)
    assert not may_use(job, "a/m", {"a"})
    assert may_use(job, "chat", {"a"})
    with pytest.raises(UsageError, match="minted from is for chat"):
        store.change_key("sub", KeyChanges(allowed=("a/m",)))
    store.change_key("sub", KeyChanges(allowed=("chat",), expires_ms=START_MS + 400))
    assert caller_of(store, "job").expires_ms == START_MS + 400


def test_a_former_secret_mints_nothing_that_outlasts_it(store: Store, clock: FakeClock) -> None:
    """Within the overlap of a rotation its keys end with it; after that it is nobody's."""
    make(store)
    store.rotate_key("ci", digest_of("new"), overlap_ms=1000)
    assert mint(store, "ci", "job").expires_ms == START_MS + 1000
    with pytest.raises(PermissionRefused, match="valid for longer"):
        mint(store, "ci", "late", expires_ms=START_MS + 1001)
    assert mint(store, "new", "lasting").expires_ms is None
    clock.forward(1)
    with pytest.raises(ShareAIError):
        mint(store, "ci", "later")
    store.rotate_key("ci", digest_of("newer"))
    assert digest_of("ci") not in store.active_keys()


def test_minted_keys_are_listed_and_ended_by_those_above_only(store: Store) -> None:
    """Nobody sees or ends itself, those above, those beside, or another's."""
    make(store)
    store.create_key("other", digest_of("other"), KeySettings(may_mint=True))
    mint(store, "ci", "sub", may_mint=True)
    mint(store, "sub", "job")
    mint(store, "other", "foreign")
    minted = {
        name: [key.name for key in store.minted_keys(caller_of(store, name))]
        for name in ("ci", "sub", "job", "other")
    }
    assert minted == {"ci": ["sub", "job"], "sub": ["job"], "job": [], "other": ["foreign"]}
    for caller, name in (("sub", "sub"), ("sub", "ci"), ("sub", "foreign"), ("job", "sub"), ("ci", "none")):
        with pytest.raises(UnknownKey):
            store.revoke_minted(caller_of(store, caller), name)
    with pytest.raises(UnknownKey) as unknown:
        store.revoke_minted(caller_of(store, "ci"), "jop")
    assert unknown.value.hint == "Did you mean 'job'?"
    ci = caller_of(store, "ci")
    store.revoke_minted(ci, "job")
    (row,) = list_audit(store.path, 1)
    assert (row.action, row.subject, row.actor, row.origin) == ("key.revoke", "job", "key/ci", "public API")
    assert [key.name for key in store.minted_keys(ci)] == ["sub"]


def test_generations_are_bounded(store: Store) -> None:
    """Each further one costs a lookup at each change of keys."""
    make(store)
    names = ["ci", *(f"g{number}" for number in range(1, DEEPEST + 1))]
    for parent, name in pairwise(names):
        mint(store, parent, name, may_mint=True)
    with pytest.raises(PermissionRefused, match="generations"):
        mint(store, names[-1], "more")


def test_the_number_of_minted_keys_is_bounded(store: Store) -> None:
    """Counted from the top, revoked ones not; those that are ended make room."""
    make(store)
    sub = mint(store, "ci", "sub", may_mint=True)
    with store.transaction() as connection:
        connection.executemany(
            "INSERT INTO keys (name, digest, team, shown, created_ms, parent) "
            "VALUES (?, ?, 'default', '', 5, ?)",
            [(f"job{number}", digest_of(f"job{number}"), sub.key_id) for number in range(MOST_MINTED - 1)],
        )
    for parent in ("ci", "sub"):
        with pytest.raises(PermissionRefused, match="1000 minted keys below the key 'ci'"):
            mint(store, parent, "more")
    store.revoke_minted(caller_of(store, "ci"), "job7")
    mint(store, "sub", "more")
    with pytest.raises(PermissionRefused, match="1000 minted keys"):
        mint(store, "ci", "evenmore")


def test_keys_that_come_and_go_are_bounded_too(store: Store, clock: FakeClock) -> None:
    """Each stays in the accounts: of those within an hour there are so many, whatever became of them."""
    make(store)
    sub = mint(store, "ci", "sub", may_mint=True)
    with store.transaction() as connection:
        connection.executemany(
            "INSERT INTO keys (name, digest, team, shown, created_ms, revoked_ms, parent) "
            "VALUES ('job', ?, 'default', '', ?, 6, ?)",
            [
                (digest_of(f"job{number}"), START_MS + 60_000, sub.key_id)
                for number in range(MOST_AN_HOUR - 1)
            ],
        )
    clock.forward(120)
    for parent in ("ci", "sub"):
        with pytest.raises(RateLimited, match="1000 keys were minted below the key 'ci'") as refused:
            mint(store, parent, "more")
        assert refused.value.retry_after == 3_480
    clock.forward(3_480)
    mint(store, "sub", "more")


# -- a child is for nothing that its parent is not for

PROVIDERS = ("a", "b")
NAMES = ("chat", "a/m", "a/n", "b/m", "a/*", "b/*", "m", "c/m", "c/*")
MODELS = ("chat", "a/m", "a/n", "b/m", "c/m", "m", "a/org/m", "auto", "none")
some_names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple)
ends = st.none() | st.integers(START_MS + 1, START_MS + 50)
preferences: st.SearchStrategy[Preference | None] = st.sampled_from([None, "own", "cloud"])
changes = st.builds(
    KeyChanges,
    allowed=st.just(UNSET) | some_names,
    expires_ms=st.just(UNSET) | ends,
    prefer=st.just(UNSET) | preferences,
    may_mint=st.booleans(),
    limits=st.just(UNSET) | st.just({"requests_per_minute": 1}),
)
steps = st.lists(
    st.tuples(st.sampled_from(["mint", "mint", "change", "revoke", "rotate"]), st.integers(0, 9), changes),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(some_names, ends, preferences, steps, st.sets(st.sampled_from(("a", "b", "c"))))
def test_a_minted_key_is_for_nothing_that_the_one_above_is_not_for(
    allowed: tuple[str, ...],
    end: int | None,
    prefer: Preference | None,
    todo: list[tuple[str, int, KeyChanges]],
    providers: set[str],
) -> None:
    """Whatever is asked for, changed, rotated and revoked in between, and whichever providers there are."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state.db", FakeClock(START_MS / 1000))
        try:
            _play(store, KeySettings("default", allowed, (), end, prefer, may_mint=True), todo, providers)
        finally:
            store.close()


def _play(
    store: Store, first: KeySettings, todo: list[tuple[str, int, KeyChanges]], providers: set[str]
) -> None:
    store.create_key("k0", digest_of("k0"), first)
    numbers = count(1)
    for action, which, wanted in todo:
        presented = sorted(store.active_keys().items())
        if not presented:
            return
        _, caller = presented[which % len(presented)]
        name = f"k{next(numbers)}"
        try:
            if action == "mint":
                store.mint_key(caller, name, digest_of(name), wanted)
            elif action == "change":
                store.change_key(caller.key_name, wanted)
            elif action == "revoke":
                store.revoke_key(caller.key_name)
            else:
                store.rotate_key(caller.key_name, digest_of(name), overlap_ms=which)
        except (PermissionRefused, UsageError):
            pass
        _check(store, providers)


def _check(store: Store, providers: set[str]) -> None:
    keys = {key.id: key for key in store.list_keys()}
    callers = {caller.key_id: caller for caller in store.active_keys().values()}
    limits = store.limits()
    for caller in callers.values():
        parent_id = keys[caller.key_id].parent
        if parent_id is None:
            assert (caller.ancestors, caller.bounds) == ((), ())
            continue
        parent = callers[parent_id]  # and so it is valid itself
        assert caller.team == parent.team
        assert caller.ancestors == (parent_id, *parent.ancestors)
        for model in MODELS:
            assert may_use(parent, model, providers) or not may_use(caller, model, providers)
        # The secrets of a key end differently; the last of the child's ends with the key above.
        key_end = min((one for one in _ends(keys, parent_id) if one is not None), default=None)
        for one in (one for one in store.active_keys().values() if one.key_id == caller.key_id):
            assert key_end is None or (one.expires_ms is not None and one.expires_ms <= key_end)
        for subject in limits:
            if subject.scope == "key" and subject.keys[0] in caller.ancestors:
                assert caller.key_id in subject.keys


def _ends(keys: Mapping[int, Any], number: int | None) -> Iterator[int | None]:
    while number is not None:
        yield keys[number].expires_ms
        number = keys[number].parent

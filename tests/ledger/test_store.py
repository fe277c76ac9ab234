from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from shareai_cli.errors import ExitCode, UsageError
from shareai_cli.ledger import Store
from shareai_cli.paths import Paths
from shareai_cli.types import Caller, KeySettings
from tests.support.clock import FakeClock


@pytest.fixture
def store(paths: Paths) -> Iterator[Store]:
    paths.make_state()
    store = Store(paths.database, FakeClock(1_790_000_000.0))
    yield store
    store.close()


def test_a_key_is_found_by_its_digest(store: Store) -> None:
    """Who presents it is known with id, name and team."""
    store.create_team("research", {})
    made = store.create_key("laptop", b"a" * 32, KeySettings("research"), shown="sk-shareai-abcd")
    assert store.active_keys() == {b"a" * 32: Caller(made.id, "laptop", "research")}
    assert (made.created_ms, made.revoked_ms, made.shown) == (1_790_000_000_000, None, "sk-shareai-abcd")
    assert store.list_keys() == [made]


def test_a_valid_keys_name_is_taken(store: Store) -> None:
    """A second one is refused with what to do, and nothing is changed."""
    store.create_key("laptop", b"a" * 32)
    with pytest.raises(UsageError, match="already") as refused:
        store.create_key("laptop", b"b" * 32)
    assert refused.value.exit_code is ExitCode.USAGE
    assert "revoke laptop" in str(refused.value.hint)
    assert len(store.list_keys()) == 1


def test_a_revoked_key_is_no_longer_valid_and_its_name_is_free(store: Store) -> None:
    """It stays in the list; a new key of that name has another id, so that accounts stay apart."""
    first = store.create_key("laptop", b"a" * 32)
    revoked = store.revoke_key("laptop")
    assert (revoked.id, revoked.revoked_ms) == (first.id, 1_790_000_000_000)
    assert store.active_keys() == {}
    second = store.create_key("laptop", b"b" * 32)
    assert second.id != first.id
    assert [key.revoked_ms for key in store.list_keys()] == [1_790_000_000_000, None]


def test_an_unknown_name_is_told_with_the_nearest(store: Store) -> None:
    """A slip of the finger is seen at once; a revoked key is not offered."""
    store.create_key("laptop", b"a" * 32)
    with pytest.raises(UsageError, match="Did you mean 'laptop'"):
        store.revoke_key("labtop")
    store.revoke_key("laptop")
    with pytest.raises(UsageError, match="key list"):
        store.revoke_key("laptop")


@pytest.mark.parametrize("name", ["", " ", " laptop", "a\nb", "\x1b[31m", "x" * 101])
def test_names_that_cannot_be_shown_are_refused(store: Store, name: str) -> None:
    """Neither keys, teams nor nodes have them."""
    for make in (
        lambda: store.create_key(name, b"a" * 32),
        lambda: store.create_key("fine", b"a" * 32, KeySettings(name)),
        lambda: store.create_team(name, {}),
        lambda: store.register_node(name, {}),
    ):
        with pytest.raises(UsageError, match="no name"):
            make()
    assert store.list_keys() == []
    assert store.list_nodes() == []


def test_registering_a_node_again_replaces_what_was_known(store: Store, paths: Paths) -> None:
    """There is one row a machine, with the time of its first registration."""
    first = store.register_node("box", {"cores": 4, "gpus": [{"name": "T4"}]}, ["b", "a", "a"])
    assert first.models == ("a", "b")
    second = store.register_node("box", {"cores": 8}, ["c"])
    assert (second.id, second.registered_ms) == (first.id, first.registered_ms)
    assert store.list_nodes() == [second]
    assert (second.facts, second.models) == ({"cores": 8}, ("c",))


def test_keys_and_nodes_last(paths: Paths) -> None:
    """They are there after a restart."""
    paths.make_state()
    store = Store(paths.database)
    key = store.create_key("laptop", b"a" * 32)
    node = store.register_node("box", {"cores": 4}, ["m"])
    store.close()
    store = Store(paths.database)
    assert (store.list_keys(), store.list_nodes()) == ([key], [node])
    store.close()


def test_many_threads_make_keys_at_once(store: Store) -> None:
    """Every one of them is there, and of equal names exactly one."""
    outcomes: list[str] = []

    def make(number: int) -> None:
        store.create_key(f"key{number}", bytes([number]) * 32)
        try:
            store.create_key("same", bytes([100 + number]) * 32)
            outcomes.append("made")
        except UsageError:
            outcomes.append("refused")

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["refused"] * 11
    assert len(store.active_keys()) == 13


def test_the_database_is_private(store: Store, paths: Paths) -> None:
    """Nobody else on the machine reads the accounts."""
    store.create_key("laptop", b"a" * 32)
    for file in paths.state.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file

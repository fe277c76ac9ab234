from __future__ import annotations

import random

import pytest

from shareai_cli.llama.batching.cache import Cache, Change, Copy, Remove, shared_length


class Memory:
    """What llama.cpp does with the changes: cells, and the sequences that each belongs to."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, set[int]]] = []

    def write(self, sequence: int, tokens: list[int]) -> None:
        self.cells += [(token, {sequence}) for token in tokens]

    def apply(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Copy):
                assert self.of(change.target) == []
                own = [owners for _, owners in self.cells if change.source in owners]
                for owners in own[: change.count]:
                    owners.add(change.target)
            else:
                for _, owners in self.cells:
                    owners.discard(change.sequence)
        self.cells = [cell for cell in self.cells if cell[1]]

    def of(self, sequence: int) -> list[int]:
        return [token for token, owners in self.cells if sequence in owners]


def begin(cache: Cache, tokens: list[int]) -> tuple[int, int]:
    """Let a sequence in and evaluate all its tokens; return its number and how many it found."""
    number, _ = cache.join(tokens)
    found = cache.length(number)
    cache.grow(number, tokens[found:])
    return number, found


def test_the_accounts_are_those_of_a_cache_whatever_happens() -> None:
    """Through thousands of random joins, growths and ends, cells in use are counted as they are."""
    chance = random.Random(3)
    cache, memory = Cache(400, 12), Memory()
    running: dict[int, list[int]] = {}
    for _ in range(1500):
        what = chance.random()
        if what < 0.35 and len(running) < 8:
            tokens = [chance.randrange(2) for _ in range(chance.randrange(1, 20))]
            number, changes = cache.join(tokens)
            memory.apply(changes)
            found = cache.length(number)
            assert memory.of(number) == tokens[:found]
            assert found < len(tokens)
            running[number] = tokens[:found]
        elif what < 0.7 and running:
            number = chance.choice(list(running))
            tokens = [chance.randrange(2) for _ in range(chance.randrange(1, 6))]
            memory.apply(cache.make_room(len(tokens)))
            if len(tokens) <= cache.free:
                cache.grow(number, tokens)
                memory.write(number, tokens)
                running[number] += tokens
        elif what < 0.8 and running:
            number = chance.choice(list(running))
            wanted = [*running[number], *(chance.randrange(2) for _ in range(5))]
            before = cache.length(number)
            memory.apply(cache.catch_up(number, wanted))
            running[number] = wanted[: cache.length(number)]
            assert cache.length(number) >= before
        elif running:
            number = chance.choice(list(running))
            memory.apply((cache.rest if chance.random() < 0.7 else cache.drop)(number))
            del running[number]
        assert cache.used == len(memory.cells) <= cache.cells
        assert {number: memory.of(number) for number in running} == running
        held = sum(1 for _, owners in memory.cells if owners & set(running))
        assert cache.room == cache.cells - held
    for number in running:
        memory.apply(cache.drop(number))
    memory.apply(cache.make_room(cache.cells))
    assert (cache.used, memory.cells, cache.prefixes) == (0, [], 0)


def test_a_prompt_starts_from_the_longest_beginning_that_is_there() -> None:
    """Finished or running, the one that shares most is copied; the last token is evaluated in any case."""
    cache = Cache(1000, 8)
    short, found = begin(cache, [1, 2, 3])
    assert found == 0
    cache.rest(short)
    begin(cache, [1, 2, 3, 4, 5, 6])
    _, found = begin(cache, [1, 2, 3, 4, 9])
    assert found == 4
    _, found = begin(cache, [1, 2, 3, 4, 5, 6])
    assert found == 5
    _, found = begin(cache, [7])
    assert found == 0


def test_shared_cells_are_counted_once_and_stay_while_one_has_them() -> None:
    """Whoever wrote them may leave before whoever shares them."""
    cache = Cache(1000, 8)
    writer, _ = begin(cache, [1, 2, 3, 4])
    sharer, _ = begin(cache, [1, 2, 3, 9])
    assert cache.used == 5
    cache.drop(writer)
    assert cache.used == 4
    cache.drop(sharer)
    assert cache.used == 0


def test_prefixes_go_when_room_is_needed_those_first_that_served_longest_ago() -> None:
    """One that has just served stays; nothing goes while there is room."""
    cache = Cache(30, 8)
    for first in (1, 2, 3):
        cache.rest(begin(cache, [first] * 5 + [0] * 5)[0])
    assert cache.make_room(0) == []
    number, found = begin_from(cache, [1] * 5 + [7])
    assert found == 5
    assert cache.make_room(12) == [Remove(1), Remove(2)]
    assert cache.length(number) == 5


def begin_from(cache: Cache, tokens: list[int]) -> tuple[int, int]:
    number, _ = cache.join(tokens)
    return number, cache.length(number)


def test_only_the_longest_of_prefixes_that_contain_each_other_stays() -> None:
    """A conversation that grows keeps one prefix, not one for each turn."""
    cache = Cache(1000, 8)
    for length in (3, 5, 9, 4):
        cache.rest(begin(cache, list(range(length)))[0])
        assert cache.prefixes == 1
    assert cache.used == 9
    _, found = begin(cache, list(range(20)))
    assert found == 9


def test_numbers_of_prefixes_are_given_to_those_who_come() -> None:
    """With all numbers taken the oldest prefix makes way, but not the one that is begun with."""
    cache = Cache(1000, 4)
    for first in (1, 2, 3, 4):
        cache.rest(begin(cache, [first, first, first])[0])
    number, changes = cache.join([1, 1, 5])
    assert changes == [Remove(1), Copy(0, 1, 2)]
    assert (number, cache.length(1), cache.prefixes) == (1, 2, 3)


def test_a_model_that_cannot_share_computes_again() -> None:
    """With a sliding window or recurrence nothing is kept and nothing is found."""
    cache = Cache(1000, 4, shares=False)
    number, _ = begin(cache, [1, 2, 3])
    assert begin(cache, [1, 2, 3])[1] == 0
    cache.rest(number)
    assert (cache.prefixes, cache.used) == (0, 3)


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [([], [], 0), ([1], [], 0), ([1, 2, 3], [1, 2, 4], 2), ([1, 2], [1, 2, 3], 2), ([5, 2], [1, 2], 0)],
)
def test_what_two_have_in_common_ends_at_the_first_difference(
    one: list[int], other: list[int], length: int
) -> None:
    """Also where one is the beginning of the other."""
    assert shared_length(one, other) == shared_length(other, one) == length

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.ledger.frames import CLOSED as CLOSED_KIND
from shareai_cli.ledger.frames import LONGEST_GROUP, decode_closed, decode_opened, frame, frames, split
from shareai_cli.ledger.frames import OPENED as OPENED_KIND
from shareai_cli.types import Usage
from tests.ledger.making import closed, opened

FRAMES = [frame(entry) for number in range(1, 6) for entry in (opened(number), closed(number))]
JOURNAL = b"".join(FRAMES)
ENTRIES = [(kind, number) for number in range(1, 6) for kind in (OPENED_KIND, CLOSED_KIND)]


def kinds_and_requests(data: bytes, *, last: bool = True) -> list[tuple[int, int]]:
    return [(kind, request) for kind, request, _ in split(data, last=last).frames]


def test_entries_come_back_as_they_were() -> None:
    """Every field of both kinds survives."""
    found = split(frame(opened(3)) + frame(closed(4)), last=True)
    assert decode_opened(found.frames[0][2]) == opened(3)
    assert decode_closed(found.frames[1][2]) == closed(4)
    assert found.damaged == 0


def test_counts_of_before_audio_was_told_are_still_read() -> None:
    """A journal that an earlier version left holds five counts."""
    found = split(frame(closed(4, usage=Usage(1, 2, 3, 4, 5))), last=True)
    payload = found.frames[0][2]
    former = payload.replace(b"\x96\x01\x02\x03\x04\x05\xc2", b"\x95\x01\x02\x03\x04\x05")
    assert former != payload
    assert decode_closed(former).usage == Usage(1, 2, 3, 4, 5)


@given(st.integers(0, len(JOURNAL)))
def test_a_torn_tail_is_dropped_and_nothing_before_it(size: int) -> None:
    """A file cut off anywhere yields all entries that are whole; a tail is no damage."""
    found = split(JOURNAL[:size], last=True)
    whole = 0
    while len(b"".join(FRAMES[: whole + 1])) <= size and whole < len(FRAMES):
        whole += 1
    assert [(kind, request) for kind, request, _ in found.frames] == ENTRIES[:whole]
    assert found.damaged == 0
    assert found.used == size


@given(st.integers(0, len(JOURNAL)))
def test_an_entry_that_is_not_whole_yet_is_waited_for(size: int) -> None:
    """Reading in two pieces gives what reading at once gives."""
    first = split(JOURNAL[:size], last=False)
    rest = split(JOURNAL[first.used :], last=True)
    assert [(kind, request) for kind, request, _ in first.frames + rest.frames] == ENTRIES


@given(st.integers(0, len(FRAMES) - 1), st.binary(max_size=400))
def test_garbage_between_entries_costs_none_of_them(place: int, garbage: bytes) -> None:
    """What stands between two entries is skipped, and said, and all entries are found."""
    data = b"".join([*FRAMES[:place], garbage, *FRAMES[place:]])
    found = split(data, last=True)
    assert [(kind, request) for kind, request, _ in found.frames] == ENTRIES
    assert found.damaged == len(garbage)


@given(st.integers(0, len(JOURNAL) - 1), st.integers(1, 255))
def test_a_changed_byte_costs_at_most_its_own_entry(at: int, change: int) -> None:
    """The checksum tells a changed entry, and all others are found."""
    data = bytearray(JOURNAL)
    data[at] ^= change
    found = kinds_and_requests(bytes(data))
    hit = next(n for n in range(len(FRAMES)) if at < len(b"".join(FRAMES[: n + 1])))
    assert found == ENTRIES[:hit] + ENTRIES[hit + 1 :]


@given(st.binary(max_size=2000))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    """Any content of a file is taken apart, to its end when it is the last piece."""
    assert split(data, last=True).used == len(data)
    assert 0 <= split(data, last=False).used <= len(data)


TOGETHER = [one for number in range(1, 21) for one in (opened(number), closed(number))]
TOGETHER_ENTRIES = [(kind, number) for number in range(1, 21) for kind in (OPENED_KIND, CLOSED_KIND)]


@given(st.integers(0, len(TOGETHER)))
def test_entries_that_are_written_together_come_back_as_they_were(count: int) -> None:
    """However many they are, each has its kind, its request and every field, in order."""
    found = split(b"".join(frames(TOGETHER[:count])), last=True)
    assert [(kind, request) for kind, request, _ in found.frames] == TOGETHER_ENTRIES[:count]
    decoded = [
        decode_opened(payload) if kind == OPENED_KIND else decode_closed(payload)
        for kind, _, payload in found.frames
    ]
    assert decoded == TOGETHER[:count]
    assert found.damaged == 0


def test_entries_written_together_take_fewer_frames_and_damage_costs_one_of_them() -> None:
    """A changed byte costs its own group, of a bounded size, and no other entry."""
    groups = frames(TOGETHER)
    assert len(groups) == -(-len(TOGETHER) // LONGEST_GROUP)
    damaged = bytearray(b"".join(groups))
    damaged[len(groups[0]) + 40] ^= 1
    expected = TOGETHER_ENTRIES[:LONGEST_GROUP] + TOGETHER_ENTRIES[2 * LONGEST_GROUP :]
    assert kinds_and_requests(bytes(damaged)) == expected


@given(st.data())
def test_a_group_that_is_not_whole_yet_is_waited_for(data: st.DataObject) -> None:
    """Reading groups in two pieces gives what reading at once gives."""
    journal = b"".join(frames(TOGETHER))
    first = split(journal[: data.draw(st.integers(0, len(journal)))], last=False)
    rest = split(journal[first.used :], last=True)
    assert [(kind, request) for kind, request, _ in first.frames + rest.frames] == TOGETHER_ENTRIES

"""The file of kept replies: bounded, private to its owner, and never in the way."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing

import pytest

from shareai_cli.ledger import KeptReply, Replies
from shareai_cli.paths import Paths

NOW = 1_790_000_000_000
MEBIBYTE = 1 << 20


def reply(text: bytes = b"Hello", kept_ms: int = NOW, *, streamed: bool = False) -> KeptReply:
    pieces = (text, b"data: [DONE]\n\n") if streamed else (text,)
    return KeptReply(200, ((b"content-type", b"text/plain"),), b"x: y\r\n", pieces, streamed, "a/m", kept_ms)


@pytest.fixture
def replies(paths: Paths) -> Iterator[Replies]:
    paths.make_state()
    made = Replies(paths.replies)
    yield made
    made.close()


def keep(replies: Replies, key: bytes, kept: KeptReply, *, route: str = "chat", most: int = MEBIBYTE) -> None:
    replies.keep(key, route, kept, most=most, since_ms=NOW - 1000)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_kept_is_found_as_it_was(replies: Replies, paths: Paths, streamed: bool) -> None:
    """Also by another process, after this one has ended."""
    kept = reply(streamed=streamed)
    keep(replies, b"k", kept)
    assert replies.find(b"k", NOW - 1, NOW) == kept
    assert replies.find(b"other", NOW - 1, NOW) is None
    replies.close()
    with closing(Replies(paths.replies)) as again:
        assert again.find(b"k", NOW - 1, NOW) == kept


def test_only_its_owner_reads_it(replies: Replies, paths: Paths) -> None:
    """Replies may be anybody's secrets."""
    keep(replies, b"k", reply())
    for file in paths.state.glob("replies.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_there_is_no_file_until_something_is_kept(replies: Replies, paths: Paths) -> None:
    """Asking what there is makes none, and there is nothing to clear."""
    assert replies.stored() == []
    assert replies.find(b"k", 0, NOW) is None
    replies.clear()
    replies.clear("chat")
    replies.retain([])
    assert not replies.exists
    assert list(paths.state.glob("replies*")) == []


def test_age(replies: Replies) -> None:
    """What is too old, or from a time that is yet to come, is not found; keeping deletes what is too old."""
    keep(replies, b"old", reply(kept_ms=NOW - 5000))
    keep(replies, b"new", reply())
    assert replies.find(b"new", NOW, NOW) is not None
    assert replies.find(b"new", NOW + 1, NOW + 2) is None
    assert replies.find(b"new", 0, NOW - 1) is None
    assert replies.find(b"old", 0, NOW) is None


def test_size(replies: Replies) -> None:
    """The oldest go, each route by itself; what alone is too large is not kept."""
    keep(replies, b"theirs", reply(b"z" * 5000), route="other")
    for number in range(20):
        keep(replies, b"%d" % number, reply(b"x" * 1000, NOW + number), most=6000)
    found = [number for number in range(20) if replies.find(b"%d" % number, 0, NOW + 20)]
    assert found == [16, 17, 18, 19]
    keep(replies, b"large", reply(b"x" * 6000), most=6000)
    assert replies.find(b"large", 0, NOW) is None
    chat, other = replies.stored()
    assert (chat.route, chat.replies, other.route, other.replies) == ("chat", 4, "other", 1)
    assert chat.size <= 6000


def test_a_reply_takes_the_place_of_the_one_before(replies: Replies) -> None:
    """And counts once."""
    keep(replies, b"k", reply(b"one"))
    keep(replies, b"k", reply(b"two"))
    found = replies.find(b"k", 0, NOW)
    assert found is not None
    assert found.pieces == (b"two",)
    assert [one.replies for one in replies.stored()] == [1]


def test_what_is_cleared_is_gone_from_the_disk(replies: Replies, paths: Paths) -> None:
    """A route's replies are overwritten, all of them take the file with them."""
    keep(replies, b"k", reply(b"the secret answer" * 100))
    keep(replies, b"o", reply(b"another"), route="other")
    replies.clear("chat")
    assert [one.route for one in replies.stored()] == ["other"]
    replies.close()
    assert b"the secret answer" not in b"".join(file.read_bytes() for file in paths.state.glob("replies*"))
    replies.clear()
    assert list(paths.state.glob("replies*")) == []
    assert replies.stored() == []


def test_other_routes_can_be_left_out(replies: Replies) -> None:
    """Replies of routes that keep none any more go; without any route, the file goes."""
    keep(replies, b"k", reply())
    keep(replies, b"o", reply(), route="other")
    replies.retain(["chat", "third"])
    assert [one.route for one in replies.stored()] == ["chat"]
    replies.retain([])
    assert not replies.exists


def test_a_damaged_file_is_made_anew(replies: Replies, paths: Paths) -> None:
    """Nothing is lost but replies that can be asked for again."""
    paths.replies.write_bytes(b"no database at all\n" * 1000)
    keep(replies, b"k", reply())
    assert replies.find(b"k", 0, NOW) is not None


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 99", "PRAGMA user_version = 0"])
def test_a_file_of_another_version_is_made_anew(replies: Replies, paths: Paths, statement: str) -> None:
    """Older or newer."""
    keep(replies, b"k", reply())
    replies.close()
    with closing(sqlite3.connect(paths.replies)) as connection:
        connection.execute(statement)
    assert replies.find(b"k", 0, NOW) is None
    keep(replies, b"k", reply())
    assert replies.find(b"k", 0, NOW) is not None


def test_a_reply_that_cannot_be_read_is_none(replies: Replies, paths: Paths) -> None:
    """It goes, and the others stay."""
    keep(replies, b"k", reply())
    keep(replies, b"o", reply())
    with closing(sqlite3.connect(paths.replies, isolation_level=None)) as connection:
        connection.execute("UPDATE replies SET reply = x'00' WHERE key = ?", (b"k",))
    assert replies.find(b"k", 0, NOW) is None
    assert replies.find(b"o", 0, NOW) is not None
    assert [one.replies for one in replies.stored()] == [1]


def test_what_the_disk_refuses_is_said_and_leaves_the_file_usable(replies: Replies, paths: Paths) -> None:
    """A lock of a foreign program's is waited for, and then told."""
    keep(replies, b"k", reply())
    with closing(sqlite3.connect(paths.replies, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError):
            keep(replies, b"o", reply())
        connection.execute("ROLLBACK")
    keep(replies, b"o", reply())
    assert replies.find(b"k", 0, NOW) is not None

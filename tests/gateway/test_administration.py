"""What the process that owns the accounts tells of single requests."""

from __future__ import annotations

import pytest

from shareai_cli.client import LAST_REQUEST
from shareai_cli.errors import StateError, UsageError
from shareai_cli.gateway.administration import Administration
from shareai_cli.ledger import Replies, public_id
from shareai_cli.paths import Paths
from shareai_cli.types import Outcome
from tests.ledger.making import closed, open_ledger, opened, record


async def test_a_request_is_told_of_from_its_beginning_to_its_end(paths: Paths) -> None:
    """Under way it has its key's name and no outcome; `last` means the newest, whatever became of it."""
    ledger = open_ledger(paths)
    admin = Administration(ledger, Replies(paths.replies))
    key = admin.create_key("laptop").info.id
    record(ledger, [1])
    ledger.opened(opened(2, caller_key=key))
    await ledger.settled()
    begun = admin.request(public_id(2))
    assert (begun.outcome, begun.key, begun.route, begun.streamed) == (None, "laptop", "chat", True)
    assert admin.request(LAST_REQUEST) == begun
    assert admin.request(public_id(1)).outcome is Outcome.OK
    ledger.closed(closed(2, caller_key=key))
    await ledger.settled()
    ended = admin.request(public_id(2))
    assert (ended.outcome, ended.key, ended.target) == (Outcome.OK, "laptop", "alpha/m")
    ledger.opened(opened(3))
    ledger.closed(closed(3))
    ledger.opened(opened(1 << 40))
    await ledger.settled()
    assert admin.request(LAST_REQUEST).id == public_id(1 << 40)
    ledger.close()


async def test_an_unknown_request_is_told_from_one_that_the_disk_keeps_waiting(paths: Paths) -> None:
    """So that nobody takes a request for lost whose row is only late."""
    ledger = open_ledger(paths)
    admin = Administration(ledger, Replies(paths.replies))
    with pytest.raises(UsageError, match="no requests in the accounts yet"):
        admin.request(LAST_REQUEST)
    with pytest.raises(UsageError, match="no request's id"):
        admin.request("req_12")
    with pytest.raises(UsageError, match=r"no request req_0000000000000005 in the accounts\."):
        admin.request(public_id(5))
    ledger.close()


async def test_a_request_that_the_disk_refuses_is_said_to_wait(paths: Paths) -> None:
    """The journal holds it in memory: nobody knows yet what its row will say."""

    def refuse(_file: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    ledger = open_ledger(paths, write=refuse)
    record(ledger, [5])
    ledger.flush()
    with pytest.raises(UsageError, match="some wait in the journal") as caught:
        Administration(ledger, Replies(paths.replies)).request(public_id(5))
    assert caught.value.hint is not None
    assert "shareai status" in caught.value.hint
    ledger.close()


async def test_a_file_of_kept_replies_that_cannot_be_used_is_said(paths: Paths) -> None:
    """With what mends it: it may go."""
    ledger = open_ledger(paths)
    paths.replies.mkdir()
    admin = Administration(ledger, Replies(paths.replies))
    with pytest.raises(StateError, match="The file of kept replies cannot be used") as caught:
        admin.cache_use()
    assert caught.value.hint is not None
    assert "may be deleted" in caught.value.hint
    ledger.close()

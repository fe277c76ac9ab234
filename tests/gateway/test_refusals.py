"""Refusals that matter have rows in the audit: who, from where, why, how many, and never many rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shareai_cli.errors import (
    AuthenticationFailed,
    LedgerUnavailable,
    MalformedRequest,
    ModelNotAllowed,
    PermissionRefused,
    ShareAIError,
)
from shareai_cli.gateway.audit_queue import AuditQueue
from shareai_cli.gateway.auth import presented_key
from shareai_cli.gateway.refusals import MOST_PRESENTED, MOST_SUBJECTS, Refusals
from shareai_cli.ledger import EndedKey, ended_keys
from shareai_cli.paths import Paths
from shareai_cli.secrets import digest
from shareai_cli.types import GATEWAY, Actor, Caller, KeySettings
from shareai_cli.wire.message import Request
from tests.ledger.making import open_ledger
from tests.support.clock import FakeClock
from tests.support.waiting import until

CI = Caller(1, "ci", "dev")
NOT_ALLOWED = ModelNotAllowed("This key may not use the model 'x'.")
UNKNOWN = AuthenticationFailed("The API key is missing or not valid.")


def request(key: bytes | None = None, peer: str = "192.0.2.7") -> Request:
    headers = {b"authorization": b"Bearer " + key} if key is not None else {}
    return Request("POST", "/v1/chat/completions", "", "1.1", headers, b"", peer)


class Noted:
    """Refusals, and the rows that were written of them."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_790_000_000.0)
        self.rows: list[tuple[Actor, str, str, Any]] = []
        self.known: dict[bytes, EndedKey] = {}
        self.looked_up = 0
        self.audit = AuditQueue(self._record, lambda text: None)
        self.refusals = Refusals(self.audit, self._find, self.clock)

    def _record(self, by: Actor, action: str, subject: str, *, after: Any) -> None:
        self.rows.append((by, action, subject, after))

    def _find(self, digests: Collection[bytes]) -> Mapping[bytes, EndedKey]:
        self.looked_up += len(digests)
        return {one: self.known[one] for one in digests if one in self.known}

    async def numbers(self) -> list[int]:
        """Return what each row so far says of how many there were."""
        await self.audit.close()
        return [after.number for _, _, _, after in self.rows]


@asynccontextmanager
async def noting() -> AsyncIterator[Noted]:
    """Give refusals without a disk."""
    noted = Noted()
    yield noted
    await noted.refusals.close()
    await noted.audit.close()


async def test_a_refusal_has_a_row_with_who_and_from_where() -> None:
    """At once; what may be a key in the message is masked."""
    error = ModelNotAllowed("This key may not use the model 'sk-live-abcdef0123456789'.")
    async with noting() as noted:
        noted.refusals.of_request(request(), CI, error)
        await noted.audit.close()
        [(by, action, subject, after)] = noted.rows
        assert (by.name, by.origin) == ("key/ci", "public API from 192.0.2.7")
        assert (action, subject, after.reason, after.number) == ("key.refuse", "ci", "model_not_allowed", 1)
        assert after.message == "This key may not use the model '********'."


@pytest.mark.parametrize("error", [MalformedRequest("No."), ShareAIError("Broken.")])
async def test_mistakes_and_failures_have_none(error: ShareAIError) -> None:
    """They are in the accounts, as all requests of a known key are."""
    async with noting() as noted:
        noted.refusals.of_request(request(), CI, error)
        assert await noted.numbers() == []


async def test_a_flood_has_one_row_an_hour() -> None:
    """Each says how many there were since the one before, also where nothing more comes."""
    async with noting() as noted:
        for _ in range(500):
            noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        noted.refusals.sweep()
        assert await noted.numbers() == [1]
        noted.clock.forward(3599)
        noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        assert await noted.numbers() == [1]
        noted.clock.forward(2)
        noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        assert await noted.numbers() == [1, 501]
        noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        noted.clock.forward(3601)
        noted.refusals.sweep()
        assert await noted.numbers() == [1, 501, 1]
        noted.clock.forward(3601)
        noted.refusals.sweep()
        assert await noted.numbers() == [1, 501, 1]
        assert "counting: 0" in repr(noted.refusals)


async def test_a_clock_that_is_set_back_silences_nobody() -> None:
    """The hour is that of the clock on the wall."""
    async with noting() as noted:
        noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        noted.clock.forward(-86_400)
        noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        assert await noted.numbers() == [1, 1]


async def test_each_key_and_reason_counts_by_itself() -> None:
    """What one key is refused hides nothing of another one."""
    async with noting() as noted:
        for caller in (CI, Caller(2, "web", "dev")):
            for error in (NOT_ALLOWED, PermissionRefused("This key may not mint keys.")):
                noted.refusals.of_request(request(), caller, error)
        await noted.audit.close()
        assert [(subject, after.reason) for _, _, subject, after in noted.rows] == [
            ("ci", "model_not_allowed"),
            ("ci", "permission_denied"),
            ("web", "model_not_allowed"),
            ("web", "permission_denied"),
        ]


async def test_subjects_are_bounded() -> None:
    """Beyond them all share a row; the process and the disk hold no more."""
    async with noting() as noted:
        for number in range(MOST_SUBJECTS + 50):
            noted.refusals.of_request(request(), Caller(number, f"key{number}", "dev"), NOT_ALLOWED)
            if number % 500 == 0:
                await noted.audit.close()
        assert len(await noted.numbers()) == MOST_SUBJECTS + 1
        assert noted.rows[-1][2] == "others"


async def test_what_was_counted_is_written_at_the_end() -> None:
    """A stop is no reason to forget."""
    async with noting() as noted:
        for _ in range(3):
            noted.refusals.of_request(request(), CI, NOT_ALLOWED)
        await noted.refusals.close()
        assert await noted.numbers() == [1, 2]


async def test_the_admin_interface_tells_tokens_from_browsers() -> None:
    """A row an hour for each."""
    async with noting() as noted:
        for _ in range(5):
            noted.refusals.of_admin(request(), UNKNOWN)
            noted.refusals.of_admin(request(), PermissionRefused("The admin interface is not for browsers."))
        await noted.audit.close()
        assert [(by.origin, action, after.reason) for by, action, _, after in noted.rows] == [
            ("admin API from 192.0.2.7", "admin.refuse", "wrong token"),
            ("admin API from 192.0.2.7", "admin.refuse", "browser"),
        ]


async def test_a_key_that_was_valid_once_is_named() -> None:
    """Looked up off the path of requests; keys that nobody had leave no row."""
    async with noting() as noted:
        noted.known[digest(b"sk-old")] = EndedKey("ci", "revoked")
        noted.refusals.start()
        for key in (b"sk-old", b"sk-old", b"sk-never"):
            noted.refusals.of_request(request(key), None, UNKNOWN)
        noted.refusals.of_request(request(), None, UNKNOWN)
        await until(lambda: noted.looked_up == 2)
        await noted.refusals.close()
        await noted.audit.close()
        [(by, action, subject, after)] = noted.rows
        assert (by.name, action, subject) == ("key/ci", "key.refuse", "ci")
        assert (after.reason, after.number) == ("revoked", 2)


async def test_what_is_looked_up_is_bounded() -> None:
    """A flood of made-up keys is no flood of queries; too long ones are none at all."""
    async with noting() as noted:
        for number in range(MOST_PRESENTED + 10):
            noted.refusals.of_request(request(b"made-up-%d" % number), None, UNKNOWN)
        noted.refusals.of_request(request(b"x" * 600), None, UNKNOWN)
        await noted.refusals.look_up()
        assert noted.looked_up == MOST_PRESENTED
        await noted.refusals.look_up()
        assert noted.looked_up == MOST_PRESENTED


async def test_accounts_that_cannot_be_read_stop_nothing() -> None:
    """The next look goes on."""

    def refuse(digests: Collection[bytes]) -> Mapping[bytes, EndedKey]:
        raise LedgerUnavailable("Locked.")

    audit = AuditQueue(lambda by, action, subject, *, after: None, lambda text: None)
    refusals = Refusals(audit, refuse)
    refusals.of_request(request(b"sk-old"), None, UNKNOWN)
    await refusals.look_up()
    refusals.note(GATEWAY, "x", "y", "z", "Still there.")
    assert "counting: 1" in repr(refusals)


async def test_whose_a_key_was_and_why_it_ended(paths: Paths) -> None:
    """Revoked, expired, or replaced by another secret of the same key."""
    ledger = open_ledger(paths)
    store = ledger.store
    names = {name: digest(name.encode()) for name in ("gone", "late", "former", "valid")}
    store.create_key("gone", names["gone"])
    store.revoke_key("gone")
    store.create_key("late", names["late"], KeySettings(expires_ms=4_000_000_000_000))
    store.create_key("valid", names["former"])
    store.rotate_key("valid", names["valid"])
    found = ended_keys(store.path, [*names.values(), b"nobody's"])
    ledger.close()
    assert found[names["gone"]] == EndedKey("gone", "revoked")
    assert found[names["late"]] == EndedKey("late", "expired")
    assert found[names["former"]] == EndedKey("valid", "replaced")
    assert b"nobody's" not in found


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({b"authorization": b"Bearer sk-1"}, b"sk-1"),
        ({b"authorization": b"bearer  sk-1 "}, b"sk-1"),
        ({b"api-key": b"sk-2"}, b"sk-2"),
        ({b"authorization": b"Basic abc", b"api-key": b"sk-2"}, b"sk-2"),
        ({}, b""),
    ],
)
def test_what_a_request_presents(headers: dict[bytes, bytes], key: bytes) -> None:
    """As auth reads it."""
    assert presented_key(headers) == key

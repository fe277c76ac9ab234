"""A case: one thing that is expected of the gateway, and what says that it is not so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from shareai_cli.drill.outcome import Asked
from shareai_cli.drill.session import Session
from shareai_cli.drill_types import CheckName, FaultKind


class Unmet(Exception):
    """Something else happened than was expected."""

    def __init__(self, expected: str, happened: str, look_at: str = "") -> None:
        super().__init__(happened)
        self.expected = expected
        self.happened = happened
        self.look_at = look_at


class Blocked(Exception):
    """A case cannot be run, so that nothing is known."""


class Skipped(Exception):
    """A case is about something that is not there."""


Run = Callable[[Session], Awaitable[str]]
"""Runs a case and returns a note about it, with what nobody may overlook on further lines.

Raises `Unmet`, `Blocked`, `Skipped` or `ShareAIError`.
"""


class Case(Struct, frozen=True):
    """One case, and whom it asks."""

    check: CheckName
    subject: str
    name: str
    run: Run
    answers: tuple[str, ...] = ()
    """The targets that are expected to answer, once for each request: what it costs follows from them."""
    fault: FaultKind | None = None
    """The one that it is about; None where it is about none, or others need what it finds out."""


def expect(
    holds: object, expected: str, happened: str, asked: Asked | None = None, look_at: str = ""
) -> None:
    """Raise `Unmet` unless something holds; a request that can be explained is what to look at."""
    if not holds:
        raise Unmet(expected, happened, look_at or explained(asked))


def explained(asked: Asked | None) -> str:
    """Return the command that tells what became of a request."""
    return (
        f"shareai explain {asked.request_id}" if asked is not None and asked.request_id else "shareai status"
    )


def told(asked: Asked) -> str:
    """Say in a few words how a request was answered."""
    if not asked.status:
        return asked.error or "no reply"
    words = f"HTTP {asked.status}"
    if asked.target:
        words += f" of {asked.target}"
    if asked.error_code or asked.error:
        words += f": {' - '.join(filter(None, (asked.error_code, asked.error)))}"
    elif not asked.is_whole:
        words += ", which broke off"
    return words


def expect_answer(asked: Asked, look_at: str = "") -> None:
    """Raise `Unmet` unless a request was answered to its end, and is in the accounts so."""
    form = "a stream that ends with [DONE]" if asked.streamed else "a complete answer"
    is_answer = asked.status == 200 and asked.is_whole and not asked.error
    expect(is_answer, f"200 with {form}", told(asked), asked, look_at)
    has_content = asked.text or (asked.tokens is not None and asked.tokens.completion_tokens)
    expect(has_content, "an answer with content", "an empty one", asked, look_at)
    expect_row(asked)


def expect_row(asked: Asked) -> None:
    """Raise `Unmet` unless there was a reply, and the accounts have the request's row."""
    expect(asked.status, "a reply of the gateway's", told(asked), asked)
    expect(
        asked.row is not None and asked.row.outcome is not None,
        f"a row for {asked.request_id or 'the request'} in the accounts",
        "there is none",
        look_at="shareai status",
    )

"""Entries are moved in small portions beside requests, and in large ones where many wait."""

from __future__ import annotations

from shareai_cli.ledger.pace import EAGER, GENTLE, PLENTY, STRETCHES, next_pace


def test_what_has_piled_up_is_moved_eagerly_until_nothing_waits() -> None:
    """And not in turns with the gentle pace, which does not catch up under a full load."""
    assert next_pace(GENTLE, PLENTY) is GENTLE
    assert next_pace(GENTLE, PLENTY + 1) is EAGER
    assert next_pace(EAGER, 1) is EAGER


def test_a_stretch_is_as_long_as_a_statement_takes_rows() -> None:
    """So that a full one goes in with one statement."""
    assert {GENTLE.stretch, EAGER.stretch} <= set(STRETCHES)
    assert list(STRETCHES) == sorted(STRETCHES, reverse=True)
    assert STRETCHES[-1] == 1

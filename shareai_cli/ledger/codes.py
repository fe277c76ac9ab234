"""The numbers under which the database keeps outcomes and cost bases: only ever appended to."""

from __future__ import annotations

from typing import Final

from shareai_cli.types import CostBasis, Outcome

OUTCOMES: Final = (
    Outcome.OK,
    Outcome.FAILED,
    Outcome.INCOMPLETE,
    Outcome.CANCELLED,
    Outcome.REFUSED,
    Outcome.REJECTED,
    Outcome.HIT,
    Outcome.JOINED,
)
BASES: Final = (CostBasis.EXACT, CostBasis.ESTIMATED, CostBasis.UNKNOWN, CostBasis.NONE)

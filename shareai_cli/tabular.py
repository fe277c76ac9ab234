"""What was used, as rows and columns that spreadsheets and scripts take."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from shareai_cli.types import UsageSums

USAGE_COLUMNS: Final = (
    "requests", "failed", "incomplete", "refused", "rejected", "cancelled", "prompt_tokens", "cached_tokens",
    "cache_write_tokens", "completion_tokens", "reasoning_tokens", "estimated_tokens", "cost_nano_usd",
    "estimated_cost", "unknown_cost", "average_first_token_us", "average_total_us",
    "hit", "joined",
)  # fmt: skip


def usage_csv(
    heading: str, rows: Iterable[tuple[Sequence[str], UsageSums]], further: Sequence[str] = ()
) -> str:
    """Return sums as comma-separated values, each row with its name, and what is further told of it."""
    return as_csv(
        (heading, *USAGE_COLUMNS, *further),
        ((name, *(getattr(sums, one) for one in USAGE_COLUMNS), *told) for (name, *told), sums in rows),
    )


def as_csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return comma-separated values; None is empty."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([_harmless(one) for one in row] for row in rows)
    return lines.getvalue()


def _harmless(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula: clients choose some names."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value

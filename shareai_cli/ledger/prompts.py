"""Which prompts cost the most: requests with equal prompts together, told by their salted hash.

Only the rows know prompts, so this reads every row of the time that is asked for: a second for a million.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.entries import first_number, public_id
from shareai_cli.ledger.groups import as_usage
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.sums import SUMS
from shareai_cli.ledger.use import LATEST_START_MS
from shareai_cli.paths import Paths
from shareai_cli.types import PromptUse

MOST: Final = 100

_HIGHEST: Final = (1 << 63) - 1
"""What a column can hold; no request of any year to come has it."""

_WHERE: Final = "id >= :first AND time_ms >= :since AND drill = 0 AND fingerprint IS NOT NULL"

_DEAREST: Final = (
    f"SELECT fingerprint FROM requests WHERE {_WHERE} GROUP BY fingerprint "  # noqa: S608 - constants
    "ORDER BY coalesce(sum(cost_nano), 0) DESC, count(*) DESC, fingerprint LIMIT :most"
)
"""Apart from the sums, which would be sorted with every prompt that there is."""

_SUMS_OF: Final = (
    # Beside `max`, SQLite takes other columns from the row that has it: sqlite.org/lang_select.html#bareagg
    f"SELECT fingerprint, max(id), route, target, prompt_bytes, {', '.join(SUMS.values())} "  # noqa: S608
    f"FROM requests WHERE {_WHERE} AND fingerprint IN ({_DEAREST}) GROUP BY fingerprint"
)

_QUERY: Final = (
    "SELECT sums.*, names.name, targets.name "  # noqa: S608 - constants
    f"FROM ({_SUMS_OF}) AS sums JOIN names ON names.id = sums.route JOIN targets ON targets.id = sums.target"
)


def dearest_prompts(source: Paths | Store, *, since_ms: int | None, limit: int) -> list[PromptUse]:
    """Return the prompts on which most was spent, without those of drills; raises `LedgerUnavailable`.

    Requests of which no prompt was understood are in none.
    """
    path = source.path if isinstance(source, Store) else source.database
    since = since_ms if since_ms is not None else 0
    asked = {
        "since": since,
        "first": min(first_number(since - LATEST_START_MS), _HIGHEST),
        "most": min(max(limit, 0), MOST),
    }
    with understood(path), closing(connect_reader(path)) as connection:
        rows = connection.execute(_QUERY, asked).fetchall()
    found = [
        PromptUse(as_usage(fingerprint.hex(), sums), public_id(latest), route, target, prompt_bytes)
        for fingerprint, latest, _, _, prompt_bytes, *sums, route, target in rows
    ]
    return sorted(found, key=lambda one: (-one.sums.cost_nano_usd, -one.sums.requests, one.sums.name))

"""Did you mean? The one place where a name that is not known is compared with those that are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

LONGEST: Final = 100
"""Characters of a name that are compared."""

MOST: Final = 1000
"""Names that are compared: some 5 us each, and the gateway does so on its event loop."""

MOST_NAMED: Final = 20
"""Names that a message lists."""

LIKENESS: Final = 0.5
"""From 0 to 1, as `difflib` measures it."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`; None where none is."""
    from difflib import get_close_matches  # only where something is wrong

    found = get_close_matches(name[:LONGEST], list(islice(known, MOST)), n=1, cutoff=LIKENESS)
    return found[0] if found else None


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return the hint that names the nearest known name, else the first of them."""
    found = nearest(name, known)
    if found is not None:
        return f"Did you mean {found}?"
    if not known:
        return "Nothing can stand here."
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"Known: {', '.join(known[:MOST_NAMED])}{more}."

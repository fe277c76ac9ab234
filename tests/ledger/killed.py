"""A process that keeps accounts until it is killed: `python -m tests.ledger.killed HOME FIRST`.

Writes the number of each request once its end was taken in: what a client may have seen end.
"""

from __future__ import annotations

import os
import sys

from shareai_cli.paths import find_paths
from tests.ledger.making import closed, open_ledger, opened

UNDER_WAY = 5


def main(home: str, first: int) -> None:
    """Keep some requests under way, and end one after the other."""
    ledger = open_ledger(find_paths({"SHAREAI_HOME": home}), file_bytes=50_000)
    os.write(1, b"ready\n")
    for number in range(first, first + 1_000_000):
        ledger.opened(opened(number))
        if number - UNDER_WAY >= first:
            ledger.closed(closed(number - UNDER_WAY))
            os.write(1, b"%d\n" % (number - UNDER_WAY))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

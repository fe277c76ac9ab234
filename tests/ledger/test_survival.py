"""`kill -9` at any moment: nothing that was seen to end is lost, and nothing is there twice."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from shareai_cli.ledger.codes import OUTCOMES
from shareai_cli.paths import Paths, find_paths
from shareai_cli.types import Outcome
from tests.ledger.killed import UNDER_WAY
from tests.ledger.making import check_whole, journal_files, open_ledger, query, recorded

INCOMPLETE = f"SELECT id FROM requests WHERE outcome = {OUTCOMES.index(Outcome.INCOMPLETE)}"
ROOT = Path(__file__).parents[2]


def run_until_killed(home: Path, first: int, seconds: float) -> list[int]:
    """Return the requests that were seen to end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.killed", str(home), str(first)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    assert process.stdout.read(6) == b"ready\n"
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    output = b"".join(iter(lambda: process.stdout.read(1 << 16), b""))  # type: ignore[union-attr]
    killer.join()
    process.wait(timeout=20)
    process.stdout.close()
    return [int(line) for line in output.splitlines()]


def check(paths: Paths, seen: list[int]) -> None:
    """Compare the accounts with what was seen."""
    rows = recorded(paths)
    assert set(seen) <= set(rows)
    assert len(set(rows)) == len(rows)
    assert not {row[0] for row in query(paths, INCOMPLETE)} & set(seen)
    check_whole(paths)


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """Eight processes are killed one after the other, over the same accounts and many journal files."""
    dice = random.Random(11)
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    seen: list[int] = []
    for first in range(1, 8_000_001, 1_000_000):
        seen += run_until_killed(tmp_path, first, dice.uniform(0.0, 0.4))
    ledger = open_ledger(paths)
    ledger.close()
    check(paths, seen)
    assert len(seen) > 1000
    incomplete = query(paths, INCOMPLETE)
    assert 8 <= len(incomplete) <= 8 * (UNDER_WAY + 1)
    assert journal_files(paths) == []


def test_a_kill_during_the_replay(tmp_path: Path) -> None:
    """A start that is killed while it takes in a journal leaves it to the next one."""
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    seen = run_until_killed(tmp_path, 1, 0.5)
    dice = random.Random(5)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.killed", str(tmp_path), "5000000"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(dice.uniform(0.05, 0.4))
        process.kill()
        process.wait()
    open_ledger(paths).close()
    check(paths, seen)

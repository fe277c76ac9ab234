"""One short line a request for the person who watches the gateway run.

Lines are made and written in batches by a thread, so a terminal that stands still holds up no request;
what does not fit behind it is counted and dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TextIO

from shareai_cli.ledger import Closed
from shareai_cli.types import Outcome

WAITING = 20_000
"""Lines that may wait for the terminal."""

EVERY = 0.1
"""Seconds between two batches."""


class RequestLines:
    """Writes the line of every settled exchange to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: deque[Closed] = deque(maxlen=WAITING)
        self._seen = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="request lines", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(self, entry: Closed) -> None:
        """Take in an exchange; costs the event loop one append."""
        self._seen += 1
        self._waiting.append(entry)

    def close(self) -> None:
        """Write what waits, unless the terminal stands still."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _work(self) -> None:
        written = 0
        try:
            while not self._end.wait(EVERY):
                written = self._write(written)
            self._write(written)
        except (OSError, ValueError):
            return  # the terminal is gone; requests go on

    def _write(self, written: int) -> int:
        waiting = self._waiting
        lines: list[str] = []
        while waiting:
            lines.append(line(waiting.popleft()))
        if not lines:
            return written
        dropped = self._seen - written - len(lines)
        if dropped >= WAITING:
            lines.append(f"({dropped} requests were too fast for this terminal)")
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()
        return written + len(lines) + max(dropped, 0)


def line(entry: Closed) -> str:
    """Return the line of one exchange: time, status, route, target, duration, tokens, what went wrong."""
    clock = time.strftime("%H:%M:%S", time.localtime(entry.time_ms / 1000))
    where = _shown(entry.route)
    if entry.target and entry.target != entry.route:
        where += f" -> {_shown(entry.target)}"
    parts = [clock, str(entry.status), where or "-", _duration(entry.total_us)]
    if entry.usage is not None:
        usage = entry.usage
        given = usage.prompt + usage.cached + usage.cache_write
        parts.append(f"{given}+{usage.completion + usage.reasoning} tokens")
    if len(entry.attempts) > 1:
        parts.append(f"{len(entry.attempts)} attempts")
    if entry.outcome != Outcome.OK:
        parts.append(f"{entry.outcome}: {entry.error}" if entry.error else str(entry.outcome))
    return "  ".join(parts)


def _duration(microseconds: int) -> str:
    if microseconds < 100_000:
        return f"{microseconds / 1000:.1f} ms"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.0f} ms"
    return f"{microseconds / 1e6:.1f} s"


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name) if not name.isprintable() else name

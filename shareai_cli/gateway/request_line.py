"""One short line a request for the person who watches the gateway run.

Lines are made and written in batches by a thread, so a terminal that stands still holds up no request;
what does not fit behind it is counted and dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
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
        self._waiting: deque[Closed] = deque()
        self._dropped = 0
        self._told = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="request lines", daemon=True)

    def __repr__(self) -> str:
        return f"<RequestLines [waiting: {len(self._waiting)}, dropped: {self._dropped}]>"

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(self, entry: Closed) -> None:
        """Take in an exchange; costs the event loop one append."""
        if len(self._waiting) < WAITING:
            self._waiting.append(entry)
        else:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, unless the terminal stands still."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _work(self) -> None:
        while not self._end.wait(EVERY):
            self._write()
        self._write()

    def _write(self) -> None:
        lines: list[str] = []
        second, clock = -1, ""
        for _ in range(len(self._waiting)):
            entry = self._waiting.popleft()
            if entry.time_ms // 1000 != second:
                second = entry.time_ms // 1000
                clock = time.strftime("%H:%M:%S", time.localtime(second))
            lines.append(line(entry, clock))
        dropped = self._dropped - self._told
        if dropped:
            lines.append(f"({dropped} requests were too fast for this terminal)")
            self._told += dropped
        if lines:
            lines.append("")
            # A terminal that is gone, a log on a full disk: requests go on, and perhaps the next lines too.
            with suppress(OSError, ValueError):
                self._stream.write("\n".join(lines))
                self._stream.flush()


def line(entry: Closed, clock: str) -> str:
    """Return the line of one exchange: time, status, route, target, duration, tokens, what went wrong."""
    route, target, usage = entry.route, entry.target, entry.usage
    where = f"{route} -> {target}" if target and target != route else route or "-"
    if not where.isprintable():  # clients choose some names
        where = "".join(char if char.isprintable() else "?" for char in where)
    text = f"{clock}  {entry.status}  {where}  {_duration(entry.total_us)}"
    if usage is not None:
        given = usage.prompt + usage.cached + usage.cache_write
        text += f"  {given}+{usage.completion + usage.reasoning} tokens"
    if len(entry.attempts) > 1:
        text += f"  {len(entry.attempts)} attempts"
    if entry.outcome is not Outcome.OK:
        text += f"  {entry.outcome}: {entry.error}" if entry.error else f"  {entry.outcome}"
    return text


def _duration(microseconds: int) -> str:
    if microseconds < 100_000:
        return f"{microseconds / 1000:.1f} ms"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.0f} ms"
    return f"{microseconds / 1e6:.1f} s"

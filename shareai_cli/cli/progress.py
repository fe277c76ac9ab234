"""How far something is that takes longer than a second: a line of a terminal, which goes away at the end."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO

from shareai_cli.cli.console import printable

FIRST: Final = 1.0
"""Seconds before anything is shown: what is done by then needs no word."""

EVERY: Final = 0.2
_ERASE: Final = "\r\x1b[K"


class Progress:
    """Shows what is going on, for the length of a `with` block; any thread may tell how far it is.

    `total` None means that nobody knows how much there is to do: then the time is shown that it has taken.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._done = 0
        self._detail = ""
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Progress {self._what!r} [{self._done} of {self._total}]>"

    def __enter__(self) -> Progress:
        self._began = self._clock()
        if is_animated(self._stream):
            self._thread = threading.Thread(target=self._show, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def advance(self, count: int = 1) -> None:
        """Tell that so much more is done."""
        self._done += count

    def reach(self, done: int, detail: str = "", *, total: int | None = None) -> None:
        """Tell how much is done in all, and what is being done now; `total` is one that is known only now."""
        self._done, self._detail = done, detail
        if total is not None:
            self._total = total

    def line(self) -> str:
        """Return what there is to say now."""
        seconds = max(self._clock() - self._began, 0.001)
        text = self._what if not self._detail else f"{self._what} ({self._detail})"
        if self._total is None:
            return f"{text} ... {_lasting(seconds)}"
        unit = f" {self._unit}" if self._unit else ""
        text = f"{text}: {self._done:,} of {self._total:,}{unit}"
        rate = self._done / seconds
        if not rate or self._done >= self._total:
            return f"{text}, {_lasting(seconds)}"
        left = (self._total - self._done) / rate
        return f"{text}, {_per_second(rate)}, {_lasting(left)} left"

    def _show(self) -> None:
        if self._end.wait(FIRST):
            return
        while True:
            self._write(f"{_ERASE}{printable(self.line())[: shutil.get_terminal_size().columns - 1]}")
            if self._end.wait(EVERY):
                self._write(_ERASE)
                return

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone: what is going on goes on
            self._end.set()


def is_animated(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal on which a line can be written anew."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def _lasting(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"

"""A command at a terminal, as a person has it: what it shows, what is typed, how it ends."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.support.served import PROGRAM

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """One running command; `text` is everything that it has shown, control sequences left out."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.raw = ""
        self._descriptor = descriptor
        self._seen = 0

    @property
    def text(self) -> str:
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n")

    def until(self, marker: str, seconds: float = 30.0) -> str:
        """Read until something new stands there; returns what came since the last such place."""
        end = time.monotonic() + seconds
        while marker not in self.text[self._seen :]:
            assert self._read(end - time.monotonic()), f"no {marker!r} in: {self.text}"
        place = self.text.index(marker, self._seen) + len(marker)
        piece, self._seen = self.text[self._seen : place], place
        return piece

    def type(self, text: str) -> None:
        """Press keys; a line ends with a carriage return."""
        os.write(self._descriptor, text.encode())

    def end(self, seconds: float = 30.0) -> int:
        """Read to the end, and return the exit code."""
        limit = time.monotonic() + seconds
        while self._read(limit - time.monotonic()):
            pass
        return self.process.wait(max(0.1, limit - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Read what comes next; False at the end, or when nothing came."""
        if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # Linux's way of saying that nobody has the terminal open any more
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(*arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run a command line at a terminal of its own for the length of a block."""
    with terminal_of((*PROGRAM, *arguments), environ) as running:
        yield running


@contextmanager
def terminal_of(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run another program so, a shell for example."""
    assert sys.platform != "win32"
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
        start_new_session=True,
        # Ctrl-C means the process only where the terminal is its session's own.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)

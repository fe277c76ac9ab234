"""Keeps `shareai dash` open in a terminal, presses keys, and prints what it saw: run by `bench.dashboard`."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import psutil

ROWS, COLUMNS = 40, 120
PATIENCE = 20.0
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")

JUMPS = ((b"r", b"ShareAI Requests"), (b"t", b"ShareAI Routes"), (b"o", b"ShareAI Overview"))
"""Screens' letters, and what their first line says."""


class Screen:
    """A dashboard at a terminal that nobody looks at."""

    def __init__(self, command: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [command, "dash"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)

    def press(self, key: bytes, wanted: bytes) -> float:
        """Press a key; returns the seconds until what is wanted was drawn."""
        self.read_for(0)
        began = time.perf_counter()
        os.write(self._ours, key)
        self.until(wanted)
        return time.perf_counter() - began

    def until(self, wanted: bytes) -> None:
        """Read until something has been drawn."""
        drawn, end = b"", time.perf_counter() + PATIENCE
        while wanted not in _CONTROL.sub(b"", drawn):
            if not select.select([self._ours], [], [], max(0.0, end - time.perf_counter()))[0]:
                raise SystemExit(f"the dashboard did not draw {wanted!r}: {drawn[-2000:]!r}")
            drawn += os.read(self._ours, 1 << 16)

    def read_for(self, seconds: float) -> None:
        """Take what is drawn meanwhile."""
        end = time.perf_counter() + seconds
        while select.select([self._ours], [], [], max(0.0, end - time.perf_counter()))[0]:
            os.read(self._ours, 1 << 16)

    def close(self) -> None:
        """End it, however it was."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main() -> None:
    """Watch for some seconds, turning from screen to screen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--marker", required=True, help="what the first screen shows once it shows anything")
    options = parser.parse_args()
    screen = Screen(options.command)
    try:
        screen.until(options.marker.encode())
        first = time.perf_counter() - screen.began
        watched = psutil.Process(screen.process.pid)
        screen.read_for(1.0)
        used, began = sum(watched.cpu_times()[:2]), time.perf_counter()
        keys: list[float] = []
        while time.perf_counter() - began < options.seconds:
            for letter, wanted in JUMPS:
                screen.read_for(1.0)
                keys += [screen.press(b"g", b"Jump to"), screen.press(letter, wanted)]
        share = (sum(watched.cpu_times()[:2]) - used) / (time.perf_counter() - began)
        resident = watched.memory_info().rss
    finally:
        screen.close()
    json.dump({"first": first, "keys": keys, "share": share, "resident": resident}, sys.stdout)


if __name__ == "__main__":
    main()

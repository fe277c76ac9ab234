"""How a parent process starts a child that serves HTTP on loopback, and how neither outlives its use.

The parent writes one line of JSON on the child's standard input and holds that pipe open; the child answers
with one line on its standard output: `{"port": N}`, or `{"error": "..."}` before it exits. The pipe's end is
the parent's end, whichever way it came (SIGKILL too), and the child ends with it, also in the middle of a
computation.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from shareai_cli.errors import AuthenticationFailed, ModelUnavailable
from shareai_cli.types import Layout, LocalModel
from shareai_cli.wire.message import Request

LINE_LIMIT = 1 << 20
"""The longest start line and the longest answer, in bytes."""

STOP_SECONDS = 2.0
"""How long a child may take to end once its standard input has ended."""

_SECRET_ENDINGS = ("KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS", "PROXY")
"""A proxy's URL may hold a password."""


LEAST_WAIT = 0.5
MOST_WAIT = 30.0
"""Seconds between a child's end and its next start: the first wait, and the one that doubling ends at."""


class RestartWaits:
    """How long to wait before a child that died is started again; a long life starts from the first."""

    def __init__(self) -> None:
        self._failures = 0

    def died(self, lived: float) -> float:
        """Take note of a death after `lived` seconds of service; return the seconds to wait."""
        if lived >= MOST_WAIT:
            self._failures = 0
        self._failures += 1
        return min(MOST_WAIT, LEAST_WAIT * 2.0 ** min(self._failures - 1, 10))


class AgentStart(Struct, frozen=True):
    """The start line of the node agent."""

    secret: str
    models: tuple[LocalModel, ...] = ()

    def __repr__(self) -> str:
        return f"AgentStart(secret=********, models={self.models!r})"


class ChildStart(Struct, frozen=True):
    """The start line of a model's process."""

    secret: str
    model: LocalModel
    layout: Layout = Layout()

    def __repr__(self) -> str:
        return f"ChildStart(secret=********, model={self.model!r}, layout={self.layout!r})"


class Started(Struct, frozen=True, omit_defaults=True):
    """A child's answer: the port that it listens on, or why it does not."""

    port: int = 0
    error: str = ""


Start = TypeVar("Start", AgentStart, ChildStart)


# What the child does ----------------------------------------------------------------------------------------


def read_start(kind: type[Start]) -> Start:
    """Read the start line from standard input, then end this process when that input ends.

    Signals that a terminal or a service manager sends to the whole group are left to the parent, which drains
    its requests and then ends this process through the pipe.
    """
    for group_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(group_signal, signal.SIG_IGN)
    line = bytearray()
    while not line.endswith(b"\n"):
        # Byte by byte: whatever buffers standard input would hold a lock when this process ends.
        byte = os.read(0, 1)
        if not byte or len(line) > LINE_LIMIT:
            raise SystemExit(2)
        line += byte
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    return msgspec.json.decode(line, type=kind)


def check_secret(request: Request, authorization: bytes) -> None:
    """Raise `AuthenticationFailed` unless a request brings the start line's secret, as `authorization`."""
    if not hmac.compare_digest(request.headers.get(b"authorization", b""), authorization):
        raise AuthenticationFailed("The secret of this process is wrong or missing.")


def _end_with_parent() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    # Not sys.exit: another thread may be deep in a computation that nothing interrupts.
    os._exit(0)


def announce(started: Started) -> None:
    """Tell the parent, once; standard output goes nowhere afterwards."""
    with contextlib.suppress(OSError):
        os.write(1, msgspec.json.encode(started) + b"\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


# What the parent does ---------------------------------------------------------------------------------------


class ChildProcess:
    """A running child: its port, its end, and the pipe that it lives on."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self._process.returncode}"
        return f"<ChildProcess {self.pid} on port {self.port}, {state}>"

    @classmethod
    async def start(
        cls, module: str, start: AgentStart | ChildStart, *, seconds: float, environ: Mapping[str, str]
    ) -> ChildProcess:
        """Start `python -m module`; `ModelUnavailable` with the child's own words, or after `seconds`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=without_secrets(environ),
            limit=LINE_LIMIT,
        )
        try:
            port = await _hear(process, module, start, seconds)
        except BaseException:
            await _end(process, 0.0)
            raise
        return cls(process, port)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not been seen to end."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end; return its exit status, negative for a signal."""
        return await self._process.wait()

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it through its pipe, and by SIGKILL when it takes longer than `seconds`."""
        await _end(self._process, seconds)


async def _hear(
    process: asyncio.subprocess.Process, module: str, start: AgentStart | ChildStart, seconds: float
) -> int:
    """Write the start line and read the answer; return the port."""
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise ModelUnavailable(f"{module} was started without pipes.")
    try:
        async with asyncio.timeout(seconds):
            stdin.write(msgspec.json.encode(start) + b"\n")
            with contextlib.suppress(ConnectionError):
                await stdin.drain()
            line = await stdout.readline()
    except TimeoutError:
        raise ModelUnavailable(f"{module} did not start within {seconds:g} s.") from None
    except ValueError:
        raise ModelUnavailable(f"{module} answered with a line that is too long.") from None
    if not line:
        status = await process.wait()
        ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise ModelUnavailable(f"{module} {ended} while it started.")
    try:
        started = msgspec.json.decode(line, type=Started)
    except msgspec.MsgspecError:
        raise ModelUnavailable(f"{module} answered what is not its start protocol.") from None
    if started.error or not started.port:
        raise ModelUnavailable(started.error or f"{module} listens on no port.")
    return started.port


async def _end(process: asyncio.subprocess.Process, seconds: float) -> None:
    """End a process and reap it, also while this task is being cancelled."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        if process.returncode is None and seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what looks like a key: a child needs none of them."""
    return {name: value for name, value in environ.items() if not name.upper().endswith(_SECRET_ENDINGS)}

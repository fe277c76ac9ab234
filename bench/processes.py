"""Starts what is measured and what measures it, each pinned to a core; ends every one of them by its pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

GATEWAY_CORE = 0
LOAD_CORE = 1
"""What is measured runs on the first core; the load generator and the upstream share the second."""

BOTH_CORES = "0,1"


class BenchError(Exception):
    """Something that makes a measurement impossible or worthless, in words."""


class Processes:
    """Every process of a run; `close` ends those that still run, the youngest first."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        core: int | str,
        log: Path,
        env: Mapping[str, str] | None = None,
        line: str = "",
    ) -> subprocess.Popen[str]:
        """Start a server whose output goes to a file; a process group of its own keeps Ctrl-C to us.

        A `line` is written to the process's standard input, which then stays open until its end.
        """
        with log.open("a") as output:
            process = subprocess.Popen(
                _pinned(argv, core),
                stdin=subprocess.PIPE if line else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(env),
                process_group=0,
                text=True,
            )
        self._running.append(process)
        if process.stdin is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        return process

    def call(
        self,
        argv: Sequence[str | Path],
        *,
        core: int | str,
        seconds: float,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run to the end and return the standard output; raises `BenchError` with the end of the other."""
        process = subprocess.Popen(
            _pinned(argv, core),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(env),
            process_group=0,
            text=True,
        )
        self._running.append(process)
        try:
            output, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{Path(argv[0]).name} took longer than {seconds:.0f} s") from None
        finally:
            self.end(process)
        if process.returncode:
            command = " ".join(str(part) for part in argv[:4])
            raise BenchError(f"{command} ... ended with {process.returncode}: {(complaint or output)[-600:]}")
        return output

    def end(self, process: subprocess.Popen[str], *, seconds: float = 15) -> None:
        """Ask a process to end, wait, and kill it when it does not."""
        if process.stdin is not None:
            process.stdin.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        if process in self._running:
            self._running.remove(process)

    def running(self) -> list[subprocess.Popen[str]]:
        """Return those that have not been ended, the oldest first."""
        return self._running.copy()

    def close(self) -> None:
        """End all that still runs."""
        for process in reversed(self._running.copy()):
            self.end(process)


@contextlib.contextmanager
def processes() -> Iterator[Processes]:
    """Hold the processes of a run: an error, Ctrl-C and SIGTERM end them too."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    running = Processes()
    try:
        yield running
    finally:
        running.close()
        signal.signal(signal.SIGTERM, previous)


def check_cores() -> None:
    """Raise `BenchError` where the two cores that a comparison needs are not there."""
    allowed = os.sched_getaffinity(0)
    if not {GATEWAY_CORE, LOAD_CORE} <= allowed:
        raise BenchError(
            "the gateway and the load need a core each (0 and 1), and this process may use "
            f"{', '.join(str(core) for core in sorted(allowed))}: on one core they would measure each other."
        )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    process: subprocess.Popen[str],
    port: int,
    path: str,
    log: Path,
    *,
    seconds: float = 20,
    pause: float = 0.02,
) -> float:
    """Wait until GET `path` answers 200 and return how long that took, in seconds."""
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        if process.poll() is not None:
            raise BenchError(f"a server ended at its start: {_tail(log)}")
        if _status(port, path) == 200:
            return time.perf_counter() - began
        time.sleep(pause)
    raise BenchError(f"no answer on port {port} within {seconds:.0f} s: {_tail(log)}")


def _status(port: int, path: str) -> int:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            head = connection.recv(64)
    except OSError:
        return 0
    return int(head[9:12]) if head.startswith(b"HTTP/1.") and head[9:12].isdigit() else 0


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-800:] if log.exists() else "(no output)"


def _pinned(argv: Sequence[str | Path], core: int | str) -> list[str]:
    return ["taskset", "-c", str(core), *(str(part) for part in argv)]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    # Keys of the person who runs this would make ShareAI discover providers that no part measures.
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**kept, **(more or {})}

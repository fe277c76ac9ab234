"""What is loaded in turn, and how: each on the one core that all of them get."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from bench import shareai
from bench.context import Bench, progress
from bench.load import COMPLETIONS, Result, run_wrk
from bench.processes import BenchError

WARM_SECONDS = 1


@dataclasses.dataclass
class Candidate:
    """Something that is loaded in turn; `settle` waits until it has done what it put off."""

    name: str
    port: int
    key: str
    process: subprocess.Popen[str]
    settle: Callable[[], float] | None = None
    gateway: shareai.Gateway | None = None
    path: str = COMPLETIONS
    """Where requests go: anything but chat completions is asked for with GET."""
    results: list[Result] = dataclasses.field(default_factory=list)
    waits: list[float] = dataclasses.field(default_factory=list)
    shares: list[float] = dataclasses.field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Requests a second, round by round."""
        return [result.rate for result in self.results[1:]]

    @property
    def costs(self) -> list[float]:
        """Microseconds of processor time a request, round by round."""
        return [
            share / result.rate * 1e6 for share, result in zip(self.shares[1:], self.results[1:], strict=True)
        ]


def gateway_candidate(
    bench: Bench, name: str, configuration: str, *, trusted: Path | None = None
) -> Candidate:
    """Start a gateway with a configuration."""
    gateway = shareai.start_gateway(bench.running, bench.place("gateway"), configuration, trusted=trusted)
    return Candidate(
        name,
        gateway.port,
        gateway.key,
        gateway.process,
        settle=lambda: shareai.wait_until_idle(gateway.process),
        gateway=gateway,
    )


def rounds(
    bench: Bench, candidates: Sequence[Candidate], seconds: int, count: int, *, varied: bool = False
) -> None:
    """Load the candidates in turn, each time in another order, after a short load of each to warm up."""
    for candidate in candidates:
        _load(bench, candidate, WARM_SECONDS, varied=varied)
    for number in range(count):
        turn = number % len(candidates)
        for candidate in [*candidates[turn:], *candidates[:turn]]:
            result = _load(bench, candidate, seconds, varied=varied)
            progress(f"round {number + 1} {candidate.name}: {result.rate:.0f} requests/s")


def _load(bench: Bench, candidate: Candidate, seconds: int, *, varied: bool) -> Result:
    used, began = _computed(candidate), time.perf_counter()
    try:
        result = run_wrk(
            bench.running,
            bench.folder,
            candidate.port,
            candidate.key,
            seconds,
            varied=varied,
            path=candidate.path,
        )
    except BenchError as error:
        raise BenchError(f"{candidate.name}: {error}") from None
    candidate.shares.append((_computed(candidate) - used) / (time.perf_counter() - began))
    candidate.results.append(result)
    if candidate.settle is not None:
        candidate.waits.append(candidate.settle())
    return result


def _computed(candidate: Candidate) -> float:
    """Return the processor seconds of a candidate and its children so far."""
    process = psutil.Process(candidate.process.pid)
    return sum(sum(part.cpu_times()[:2]) for part in (process, *process.children(recursive=True)))

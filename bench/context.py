"""What every part is given."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.processes import GATEWAY_CORE, LOAD_CORE, Processes
from bench.report import Figure

NOISE = "noise of core"
ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Options:
    """The choices of the command line; 0 seconds or rounds let each part take its own."""

    seconds: int = 0
    rounds: int = 0
    requests: int = 200_000
    rows: int = 1_000_000
    gateway: bool = True
    litellm: str | None = None
    llama_server: str | None = None
    llama_python: str | None = None


@dataclasses.dataclass(frozen=True)
class Bench:
    """One run: its processes, its temporary folder, its options."""

    running: Processes
    folder: Path
    options: Options
    _places: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def place(self, name: str) -> Path:
        """Return a folder that is not there yet."""
        return self.folder / f"{name}-{next(self._places)}"

    def script(self, module: str) -> list[str]:
        """Return the command that runs a module of the bench."""
        return [sys.executable, "-m", f"bench.{module}"]

    @property
    def script_environment(self) -> dict[str, str]:
        """What a module of the bench needs to be found."""
        return {"PYTHONPATH": str(ROOT)}

    @contextlib.contextmanager
    def part(self) -> Iterator[Bench]:
        """End what a part has started, and remove its files, before the next one."""
        before = self.running.running()
        folder = self.place("part")
        folder.mkdir()
        try:
            yield dataclasses.replace(self, folder=folder)
        finally:
            for process in reversed(self.running.running()):
                if process not in before:
                    self.running.end(process)
            shutil.rmtree(folder, ignore_errors=True)


def progress(text: str) -> None:
    """Say on the standard error output what is being measured."""
    print(f"  {text}", file=sys.stderr, flush=True)


def noise(bench: Bench, part: str) -> list[Figure]:
    """Return how much of each core others took while nothing of ours ran: what a figure can be trusted to."""
    spin = (
        "import time\nend=last=time.perf_counter();end+=0.5;lost=longest=0\n"
        "while last<end:\n now=time.perf_counter();gap=now-last;last=now\n"
        " if gap>0.0001:lost+=gap;longest=max(longest,gap)\n"
        "print(lost/0.5,longest)"
    )
    figures: list[Figure] = []
    logs = {core: bench.place("noise") for core in (GATEWAY_CORE, LOAD_CORE)}
    # Both at once: what disturbs one core would otherwise move to the other while it is looked at.
    spinning = [
        bench.running.start([sys.executable, "-c", spin], core=core, log=log) for core, log in logs.items()
    ]
    for process in spinning:
        process.wait(30)
        bench.running.end(process)
    for core, log in logs.items():
        lost, longest = (float(value) for value in log.read_text().split())
        note = f"taken by others before the start; the longest gap {longest * 1000:.1f} ms"
        figures.append(Figure(part, f"{NOISE} {core}", lost * 100, "%", note=note))
    return figures

"""What this machine is: processor, memory, GPUs, system. Nothing here takes longer than a few seconds."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from msgspec import Struct

from shareai_cli.node.models import has_llama

PROBE_SECONDS = 5.0
"""How long a tool of the system's may take to answer."""

Probe = Callable[[Sequence[str]], str]
"""Runs a command and returns its output, "" where there is no such command or it fails."""


class Gpu(Struct, frozen=True):
    """One graphics processor; `memory` in bytes, shared with the system on Apple's."""

    name: str
    memory: int
    driver: str = ""


class NodeFacts(Struct, frozen=True):
    """The facts of a machine that serves models; memory in bytes."""

    hostname: str
    system: str
    architecture: str
    python: str
    processor: str
    cores: int
    """Physical cores."""
    threads: int
    """Logical cores."""
    memory: int
    gpus: tuple[Gpu, ...] = ()
    llama: bool = False
    """Whether llama-cpp-python is installed here."""


def find_facts(probe: Probe | None = None) -> NodeFacts:
    """Look at this machine."""
    run = probe or run_probe
    memory = int(psutil.virtual_memory().total)
    logical = psutil.cpu_count() or 1
    return NodeFacts(
        hostname=platform.node(),
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python=platform.python_version(),
        processor=_processor(run),
        cores=psutil.cpu_count(logical=False) or logical,
        threads=logical,
        memory=memory,
        gpus=_nvidia(run) or _apple(run, memory),
        llama=has_llama(),
    )


def run_probe(command: Sequence[str]) -> str:
    """Run a command of the system's for at most `PROBE_SECONDS`."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands, found on PATH
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[: 1 << 16].decode("utf-8", "replace") if done.returncode == 0 else ""


def _processor(run: Probe) -> str:
    if platform.system() == "Darwin":
        return run(["sysctl", "-n", "machdep.cpu.brand_string"]).strip()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in ("model name", "Hardware", "cpu model"):
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _nvidia(run: Probe) -> tuple[Gpu, ...]:
    listed = run(
        ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    )
    gpus = []
    for line in listed.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 3:
            mebibytes = int(cells[1]) if cells[1].isdigit() else 0
            gpus.append(Gpu(name=cells[0], memory=mebibytes << 20, driver=cells[2]))
    return tuple(gpus)


def _apple(run: Probe, memory: int) -> tuple[Gpu, ...]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    return (Gpu(name=run(["sysctl", "-n", "machdep.cpu.brand_string"]).strip() or "Apple", memory=memory),)

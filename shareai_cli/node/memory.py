"""How much memory is free for models: the system's, a container's bound on it, and that of NVIDIA's GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import psutil
from msgspec import Struct

from shareai_cli.node.facts import Probe, run_probe

CGROUP: Final = Path("/sys/fs/cgroup")
"""Where a container sees its own bounds (docs.kernel.org/admin-guide/cgroup-v2.html)."""

ABOUT_SECONDS: Final = 10.0

_FREE: Final = "memory.free"
_TOTAL: Final = "memory.total"


class Free(Struct, frozen=True):
    """Bytes that are free, or there in all. What files have in memory counts as free, models' weights too."""

    ram: int
    vram: int = 0
    """Of all GPUs that llama.cpp computes on together; 0 where they share the system's memory."""


class Memory:
    """Looks how much there is; whether llama.cpp uses the GPUs is asked once, in a process of its own."""

    def __init__(
        self,
        probe: Probe = run_probe,
        *,
        cgroup: Path = CGROUP,
        llama_uses_gpus: Callable[[], bool] | None = None,
    ) -> None:
        self._probe = probe
        self._cgroup = cgroup
        self._ask_llama = llama_uses_gpus or _llama_uses_gpus
        self._uses_gpus: bool | None = None

    def __repr__(self) -> str:
        return f"<Memory [uses GPUs: {self._uses_gpus}]>"

    def free(self) -> Free:
        """Return what is free now; may take a second where there are GPUs."""
        ram = int(psutil.virtual_memory().available)
        bound = _left_of(self._cgroup)
        return Free(ram if bound is None else min(ram, bound), self._of_gpus(_FREE))

    def whole(self) -> Free:
        """Return what there would be if nothing ran."""
        ram = int(psutil.virtual_memory().total)
        bound = _limit_of(self._cgroup)
        return Free(ram if bound is None else min(ram, bound), self._of_gpus(_TOTAL))

    def _of_gpus(self, what: str) -> int:
        if self._uses_gpus is False:
            return 0
        command = ("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits")
        numbers = [line.strip() for line in self._probe(command).splitlines()]
        mebibytes = sum(int(number) for number in numbers if number.isdecimal())
        if self._uses_gpus is None:
            self._uses_gpus = mebibytes > 0 and self._ask_llama()
        return mebibytes << 20 if self._uses_gpus else 0


def own_memory(pid: int | None) -> int:
    """Return the bytes that a process has of its own, apart from files that it reads; 0 where it is gone."""
    try:
        memory = psutil.Process(pid).memory_info() if pid is not None else None
    except psutil.Error:
        return 0
    # Where the system does not tell files from the rest, nothing counts: models are taken for larger then.
    return max(0, memory.rss - memory.shared) if memory is not None and hasattr(memory, "shared") else 0


def _left_of(cgroup: Path) -> int | None:
    """Return what a container may still take, files that it holds being free; None where it is unbound."""
    limit = _limit_of(cgroup)
    if limit is None:
        return None
    try:
        used = int((cgroup / "memory.current").read_text())
        rows = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        kept = {row[0]: int(row[1]) for row in rows if len(row) == 2}
    except (OSError, ValueError):
        return None
    files = kept.get("inactive_file", 0) + kept.get("active_file", 0)
    return max(0, limit - max(0, used - files))


def _limit_of(cgroup: Path) -> int | None:
    try:
        limit = (cgroup / "memory.max").read_text().strip()
    except (OSError, ValueError):
        return None
    return int(limit) if limit.isdecimal() else None


class _About(Struct):
    gpu_support: bool


def _llama_uses_gpus() -> bool:
    """Ask whether llama.cpp was built for GPUs; where it does not tell, it is taken not to be."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "shareai_cli.llama.about"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ABOUT_SECONDS,
            check=False,
            env=dict(os.environ),
        )
        return msgspec.json.decode(done.stdout.strip().rpartition(b"\n")[2], type=_About).gpu_support
    except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError, UnicodeDecodeError):
        return False

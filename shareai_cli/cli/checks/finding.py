"""What a check is, what it is given, and what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from shareai_cli.config import Settings
from shareai_cli.paths import Paths
from shareai_cli.types import WallClock

Level = Literal["ok", "warning", "problem", "skipped"]


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    level: Level
    text: str
    mend: str = ""
    """The line, or the change, that mends it; also what could be had beside what is there."""
    clock_offset: float | None = None
    """Seconds by which an upstream's clock is ahead of this machine's, where its answer told the time."""


class Subject(Struct, frozen=True):
    """What is looked at."""

    paths: Paths
    file: Path
    """The configuration file."""
    environ: Mapping[str, str]
    settings: Settings
    """What is declared; as good as nothing where `problem` says why it cannot be read."""
    problem: Finding | None = None
    wall: WallClock = time.time


class Check(Struct, frozen=True):
    """One look at something; `look` may wait for others, and is left behind when it takes too long."""

    name: str
    look: Callable[[Subject], Sequence[Finding]]
    late: Level = "warning"
    """What it means that there was no result in time."""

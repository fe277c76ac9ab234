"""What a part hands back, and how it is shown."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line of the table."""

    part: str
    what: str
    value: float
    unit: str
    limit: str = ""
    """What is promised, as "<= 5" or ">= 0.30"; empty where the line is for information."""
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the promise is kept; None where nothing is promised."""
        if not self.limit:
            return None
        sign, bound = self.limit.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


def median(values: Sequence[float]) -> float:
    """Return the median; 0 for nothing."""
    return statistics.median(values) if values else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of them lie; 0 for nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return "least to most", so that a reader sees how noisy the rounds were."""
    return f"rounds {min(values):.{digits}f} to {max(values):.{digits}f}" if len(values) > 1 else ""


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as columns of text."""
    lines = [("part", "what", "value", "unit", "promised", "", "note")]
    for figure in figures:
        verdict = {None: "", True: "ok", False: "MISSED"}[figure.holds]
        lines.append(
            (figure.part, figure.what, _number(figure.value), figure.unit, figure.limit, verdict, figure.note)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    rows: list[str] = []
    for line in lines:
        cells = [
            line[column].rjust(width) if column == 2 else line[column].ljust(width)
            for column, width in enumerate(widths)
        ]
        rows.append("  ".join([*cells, line[-1]]).rstrip())
    rows.insert(1, "-" * max(len(row) for row in rows))
    return "\n".join(rows)


def save(path: Path, figures: Sequence[Figure]) -> None:
    """Write the figures and the machine that they were taken on as JSON."""
    document = {
        "schema": 1,
        "machine": machine(),
        "figures": [{**dataclasses.asdict(figure), "holds": figure.holds} for figure in figures],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def machine() -> dict[str, str | int | float]:
    """Return what a figure depends on besides the code."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "load_before": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": _version(["nginx", "-v"]),
        "wrk": _version(["wrk", "-v"]),
    }


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", " ")
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False)
    except OSError:
        return "not installed"
    return (done.stdout + done.stderr).splitlines()[0].strip()

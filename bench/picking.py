"""How long it takes to pick a request's targets, among few and many, by every strategy."""

from __future__ import annotations

import json
from typing import Any

from bench.context import Bench
from bench.processes import GATEWAY_CORE
from bench.report import Figure, median

MOST = 50
"""Microseconds, the reading of the request included."""
ROUNDS = 3
PART = "picking"


def measure(bench: Bench) -> list[Figure]:
    """Have a probe pick on the gateway's core, some rounds; of each figure the middle one counts."""
    rounds: list[list[dict[str, Any]]] = []
    for _ in range(bench.options.rounds or ROUNDS):
        output = bench.running.call(
            bench.script("picking_probe"), core=GATEWAY_CORE, seconds=120, env=bench.script_environment
        )
        rounds.append(json.loads(output))
    figures: list[Figure] = []
    for one in zip(*rounds, strict=True):
        trouble = ", a tenth ejected" if one[0]["is_troubled"] else ""
        what = f"{one[0]['strategy']} among {one[0]['count']}{trouble}"
        p99, first = (median([run[key] for run in one]) for key in ("p99", "first_p99"))
        note = f"p99 {p99:.0f} us; p99 of the first picks after a start {first:.0f} us"
        figures.append(Figure(PART, what, median([run["p50"] for run in one]), "us", f"<= {MOST}", note))
    return figures

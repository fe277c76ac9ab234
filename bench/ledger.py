"""The accounts: bytes a request, a report over many rows, and what the writer does to the event loop."""

from __future__ import annotations

import json
import time
from typing import Any

from bench import nginx, shareai
from bench.context import Bench, progress
from bench.processes import GATEWAY_CORE, LOAD_CORE
from bench.report import Figure, median, spread
from bench.size import load_with

RATE = 15_000
"""Entries a second at the probe: two a request."""

LATE_SECONDS = 5
ROUNDS = 3
REPORTS: tuple[tuple[str, ...], ...] = ((), ("--by", "model"), ("--by", "key"), ("--by", "day"))
PART = "ledger"


def measure(bench: Bench) -> list[Figure]:
    """Look at a loaded gateway's database, at a probe's loop, and at many made-up rows."""
    return _loaded(bench) + _lateness(bench) + _reports(bench)


def _loaded(bench: Bench) -> list[Figure]:
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    configuration = shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1")
    gateway = shareai.start_gateway(bench.running, bench.place("gateway"), configuration)
    shareai.wait_until_idle(gateway.process)
    empty = gateway.stored_bytes()
    load_with(bench, gateway, bench.options.requests, varied=True)
    rows = int(shareai.usage_total(bench.running, gateway)["requests"])
    bench.running.end(gateway.process, seconds=60)
    size = gateway.stored_bytes() - empty
    note = (
        f"{rows} rows of the gateway's, prompts all different; journal left {gateway.journal_bytes()} bytes"
    )
    return [Figure(PART, "database, a request", size / max(rows, 1), "bytes", "<= 200", note)]


def _lateness(bench: Bench) -> list[Figure]:
    runs: dict[str, list[dict[str, Any]]] = {"without": [], "late": []}
    for _ in range(bench.options.rounds or ROUNDS):
        for what, seen in runs.items():
            argv = [*bench.script("ledger_probe"), what, str(bench.place("probe"))]
            argv += ["--rate", str(RATE), "--seconds", str(bench.options.seconds or LATE_SECONDS)]
            output = bench.running.call(argv, core=GATEWAY_CORE, seconds=120, env=bench.script_environment)
            seen.append(json.loads(output))
    figures: list[Figure] = []
    middle: dict[str, float] = {}
    for what, title in (("without", "loop without a ledger"), ("late", "loop with the writer at work")):
        own = [run["p99"] / 1000 for run in runs[what]]
        middle[what] = median(own)
        note = f"p50 {median([run['p50'] for run in runs[what]]) / 1000:.3f} ms; {spread(own, 2)}"
        figures.append(Figure(PART, f"{title}: late at p99", middle[what], "ms", note=note))
    calls = RATE // 2 // 1000
    taking = (median([run["taking_p50"] for run in runs["late"]])) / calls
    settled = median([run["settled_seconds"] for run in runs["late"]])
    figures += [
        Figure(
            PART,
            "the writer makes the loop late at p99",
            middle["late"] - middle["without"],
            "ms",
            "<= 1",
            f"{RATE} entries a second; the rest was moved {settled:.2f} s after the last",
        ),
        Figure(PART, "two entries cost the loop", taking, "us"),
    ]
    return figures


def _reports(bench: Bench) -> list[Figure]:
    home = bench.place("rows")
    rows = bench.options.rows
    progress(f"writing {rows} rows")
    argv = [*bench.script("ledger_probe"), "fill", str(home), "--rows", str(rows)]
    filled = json.loads(
        bench.running.call(argv, core=GATEWAY_CORE, seconds=1800, env=bench.script_environment)
    )
    database = home / "state" / "shareai.db"
    figures = [
        Figure(PART, "writing rows", rows / filled["seconds"], "rows/s", note="made, written and moved"),
        Figure(PART, "database, a made-up request", database.stat().st_size / rows, "bytes", "<= 200"),
    ]
    for report in REPORTS:
        times: list[float] = []
        for _ in range(4):
            began = time.perf_counter()
            bench.running.call(
                [shareai.command(), "usage", *report, "--json"],
                core=GATEWAY_CORE,
                seconds=120,
                env={"SHAREAI_HOME": str(home)},
            )
            times.append(time.perf_counter() - began)
        del times[0]
        what = " ".join(("usage", *report))
        note = f"{rows} rows, the command's start included; {spread(times, 2)}"
        figures.append(Figure(PART, what, median(times), "s", "<= 1", note))
    return figures

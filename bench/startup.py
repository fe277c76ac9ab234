"""How long a command takes to start, beside an interpreter that does nothing, and how soon `serve` serves."""

from __future__ import annotations

import sys
import time

from bench import nginx, shareai
from bench.context import Bench
from bench.processes import GATEWAY_CORE, LOAD_CORE
from bench.report import Figure, median, spread

ROUNDS = 15
STARTS = 5
PART = "startup"


def measure(bench: Bench) -> list[Figure]:
    """Start both in turn; files are in the page cache after the first, which is not counted."""
    bare: list[float] = []
    helped: list[float] = []
    for _ in range((bench.options.rounds or ROUNDS) + 1):
        bare.append(_lasting(bench, [sys.executable, "-c", "pass"]))
        helped.append(_lasting(bench, [str(shareai.command()), "--help"]))
    del bare[0], helped[0]
    ratio = median(helped) / median(bare)
    figures = [
        Figure(PART, "python -c pass", median(bare), "ms", note=spread(bare, 1)),
        # Either bound is enough, so the one that is met is the one that is shown.
        Figure(
            PART,
            "shareai --help",
            median(helped),
            "ms",
            "" if ratio <= 7 else "<= 150",
            spread(helped, 1),
        ),
        Figure(
            PART,
            "shareai --help : python -c pass",
            ratio,
            "times",
            "<= 7" if ratio <= 7 or median(helped) > 150 else "",
        ),
    ]
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    one_route = shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1")
    for what, configuration in (("one route", one_route), ("nothing configured", None)):
        ready: list[float] = []
        for _ in range(STARTS + 1):
            place = bench.place("gateway")
            gateway = shareai.start_gateway(bench.running, place, configuration, pause=0.002)
            ready.append(gateway.ready_seconds * 1000)
            bench.running.end(gateway.process)
        del ready[0]
        figures.append(Figure(PART, f"serve answers, {what}", median(ready), "ms", "<= 1000", spread(ready)))
    return figures


def _lasting(bench: Bench, argv: list[str]) -> float:
    began = time.perf_counter()
    bench.running.call(argv, core=GATEWAY_CORE, seconds=60)
    return (time.perf_counter() - began) * 1000

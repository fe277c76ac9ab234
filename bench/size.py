"""What the gateway keeps in memory: idle, and after many requests, twice, so that growth shows."""

from __future__ import annotations

import time

import psutil

from bench import nginx, shareai
from bench.context import Bench, progress
from bench.load import run_wrk
from bench.processes import LOAD_CORE, BenchError
from bench.report import Figure

IDLE_SECONDS = 3
SLICE_SECONDS = 5
LEVEL = 4
"""MB by which the second half of the requests may raise what the first half has left."""
PART = "size"


def measure(bench: Bench) -> list[Figure]:
    """Look at the process three times."""
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    configuration = shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1")
    gateway = shareai.start_gateway(bench.running, bench.place("gateway"), configuration)
    time.sleep(IDLE_SECONDS)
    idle, children = resident(gateway)
    figures = [
        Figure(PART, "idle gateway", idle, "MB", "<= 72", f"children {children:.1f} MB"),
    ]
    sizes: list[float] = []
    for half in (1, 2):
        done = load_with(bench, gateway, bench.options.requests)
        shareai.wait_until_idle(gateway.process)
        size, children = resident(gateway)
        sizes.append(size)
        note = f"after {done} more requests; children {children:.1f} MB"
        figures.append(Figure(PART, f"after load {half}", size, "MB", note=note))
    figures.append(Figure(PART, "growth from load 1 to load 2", sizes[1] - sizes[0], "MB", f"<= {LEVEL}"))
    return figures


def load_with(bench: Bench, gateway: shareai.Gateway, requests: int, *, varied: bool = False) -> int:
    """Send at least so many requests, in slices of some seconds; returns how many were answered."""
    done = 0
    rate = 10_000.0
    began = time.perf_counter()
    while done < requests:
        seconds = max(1, min(SLICE_SECONDS, int((requests - done) / rate)))
        result = run_wrk(bench.running, bench.folder, gateway.port, gateway.key, seconds, varied=varied)
        done, rate = done + result.requests, result.rate
        progress(f"{done} of {requests} requests")
        if time.perf_counter() - began > 1200:
            raise BenchError(f"{done} of {requests} requests in 20 minutes: too slow to go on")
    return done


def resident(gateway: shareai.Gateway) -> tuple[float, float]:
    """Return the megabytes (10^6) of the gateway's own process, and of its children."""
    process = psutil.Process(gateway.process.pid)
    children = sum(child.memory_info().rss for child in process.children(recursive=True))
    return process.memory_info().rss / 1e6, children / 1e6

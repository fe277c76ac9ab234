"""What a refused target costs before the next one is asked.

A target that fails three times in a row is left alone, and retries are bounded to a share of the requests. So
each of many providers, all at a port where nothing listens, is first in a route of its own and asked twice,
and other requests go between. The first call of each finds no connection pool yet, as after a start.
"""

from __future__ import annotations

import os
import socket

from bench import nginx, shareai
from bench.context import Bench
from bench.latency import Client
from bench.processes import LOAD_CORE, BenchError
from bench.report import Figure, median, quantile

REFUSED = 150
TURNS = 2
BETWEEN = 6
PART = "failover"


def measure(bench: Bench) -> list[Figure]:
    """Ask routes whose first target is refused, and the route of the second target alone, in turn."""
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and never listening: refused, and nobody else's
        nowhere = closed.getsockname()[1]
        parts = [shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1")]
        for number in range(REFUSED):
            parts.append(shareai.provider(f"refused{number}", f"http://127.0.0.1:{nowhere}/v1"))
            parts.append(shareai.route(f"second{number}", f"refused{number}", "up"))
        gateway = shareai.start_gateway(bench.running, bench.place("gateway"), "".join(parts))
        shareai.wait_until_idle(gateway.process)
        good, failing = _ask(gateway)
    figures: list[Figure] = []
    for name, own in (("second target only", good), ("first target refused", failing)):
        note = f"p99 {quantile(own, 0.99):.0f} us of {len(own)}"
        figures.append(Figure(PART, f"{name}: median", median(own), "us", note=note))
    added = (median(failing) - median(good)) / 1000
    late = (quantile(failing, 0.99) - quantile(good, 0.99)) / 1000
    figures += [
        Figure(PART, "a refused target costs, median", added, "ms", "<= 2"),
        Figure(PART, "a refused target costs, p99", late, "ms"),
    ]
    return figures


def _ask(gateway: shareai.Gateway) -> tuple[list[float], list[float]]:
    good: list[float] = []
    failing: list[float] = []
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    single = Client(gateway.port, gateway.key)
    routes = [Client(gateway.port, gateway.key, f"second{number}") for number in range(REFUSED)]
    try:
        for _ in range(200):
            single.ask()
        for _ in range(TURNS):
            for client in routes:
                good.extend(single.ask() for _ in range(BETWEEN))
                failing.append(client.ask())
                if b"\r\nx-shareai-attempts: 2" not in client.head:
                    raise BenchError(f"a request did not meet the refused target: {client.head!r}")
    finally:
        os.sched_setaffinity(0, allowed)
        for client in (single, *routes):
            client.close()
    return good, failing

"""What policy costs: three limits, a budget and cache lookups, each request another one; and kept replies."""

from __future__ import annotations

from bench import nginx, shareai
from bench.candidates import Candidate, gateway_candidate, rounds
from bench.context import Bench
from bench.processes import GATEWAY_CORE, LOAD_CORE
from bench.report import Figure, median, spread

SECONDS = 20
ROUNDS = 3
PART = "policy"

_POLICY = """
[routes.bench.cache]
age = "10m"
size = "8 MiB"

[limits.organization]
requests_per_minute = 100_000_000
tokens_per_minute = 1_000_000_000_000
concurrent_requests = 1_000
budget_per_month = "100000 USD"
"""


def measure(bench: Bench) -> list[Figure]:
    """Load nginx and the gateway without and with policy in turn; every prompt is another one."""
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    proxy = nginx.start_proxy(bench.running, bench.place("proxy"), GATEWAY_CORE, upstream.port)
    candidates = [Candidate("nginx", proxy.port, "none", proxy.process)]
    if bench.options.gateway:
        plain = shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1")
        candidates.append(gateway_candidate(bench, "shareai", plain))
        candidates.append(gateway_candidate(bench, "shareai, with policy", plain + _POLICY))
    rounds(bench, candidates, bench.options.seconds or SECONDS, bench.options.rounds or ROUNDS, varied=True)
    return _figures(candidates)


def _figures(candidates: list[Candidate]) -> list[Figure]:
    figures: list[Figure] = []
    for one in candidates:
        figures.append(Figure(PART, one.name, median(one.rates), "requests/s", note=spread(one.rates)))
        what = f"{one.name}: processor time, a request"
        figures.append(Figure(PART, what, median(one.costs), "us", note=spread(one.costs, 1)))
    for one in candidates[1:]:
        shares = [mine / its for mine, its in zip(one.rates, candidates[0].rates, strict=True)]
        limit = ">= 0.27" if one is candidates[-1] else ""
        figures.append(
            Figure(PART, f"{one.name} : nginx", median(shares), "of nginx", limit, spread(shares, 3))
        )
    return figures

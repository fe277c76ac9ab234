"""What a kept reply costs, beside the cheapest page that there is: `/healthz`."""

from __future__ import annotations

from bench import nginx, shareai
from bench.candidates import Candidate, gateway_candidate, rounds
from bench.context import Bench
from bench.processes import LOAD_CORE
from bench.report import Figure, median, spread

SECONDS = 10
ROUNDS = 3
PART = "hits"
BODY_BYTES = 1_024

_CACHE = """
[routes.bench.cache]
age = "60m"
"""


def measure(bench: Bench) -> list[Figure]:
    """Load two gateways in turn: one page is asked of the one, kept replies of the other."""
    upstream = nginx.start_upstream(
        bench.running, bench.place("upstream"), LOAD_CORE, completion=nginx.completion_of(BODY_BYTES)
    )
    configuration = shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1") + _CACHE
    page = gateway_candidate(bench, "/healthz", configuration)
    page.path = shareai.READY
    hit = gateway_candidate(bench, f"a hit of {BODY_BYTES} bytes", configuration)
    rounds(bench, [page, hit], bench.options.seconds or SECONDS, bench.options.rounds or ROUNDS)
    figures: list[Figure] = []
    for one in (page, hit):
        figures.append(Figure(PART, one.name, median(one.rates), "requests/s", note=spread(one.rates)))
        what = f"{one.name}: processor time, a request"
        figures.append(Figure(PART, what, median(one.costs), "us", note=spread(one.costs, 1)))
    shares = [its / mine for mine, its in zip(hit.rates, page.rates, strict=True)]
    figures.append(Figure(PART, "a hit : /healthz", median(shares), "times", "<= 2.0", spread(shares, 2)))
    figures.append(_upstream_calls(bench, hit))
    return figures


def _upstream_calls(bench: Bench, hit: Candidate) -> Figure:
    """Tell how many of the requests were no hits: the first one, and who came while it was under way."""
    assert hit.gateway is not None
    total = shareai.usage_total(bench.running, hit.gateway)
    asked = total["requests"] - total["hit"] - total["joined"]
    return Figure(PART, "requests that were no hits", asked, "requests", "<= 1", f"of {total['requests']}")

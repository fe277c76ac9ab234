"""Requests a second, not streamed, 64 connections, one core for each candidate."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from pathlib import Path

from bench import nginx, shareai
from bench.candidates import Candidate, gateway_candidate, rounds
from bench.context import Bench
from bench.load import CONNECTIONS
from bench.processes import GATEWAY_CORE, LOAD_CORE, free_port, wait_for
from bench.report import Figure, median, spread
from bench.tls import Authority, make_authority

SECONDS = 20
"""Of load in a round: what the gateway puts off under a burst has to be done under so long a load."""

ROUNDS = 3
PART = "throughput"
PLAIN, TLS = "plain upstream", "TLS upstream"


def measure(bench: Bench) -> list[Figure]:
    """Run the rounds, candidates in turn, and check the accounts afterwards."""
    authority = make_authority(bench.place("tls"))
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE, authority)
    candidates = _candidates(bench, upstream, authority)
    count = bench.options.rounds or ROUNDS
    rounds(bench, candidates, bench.options.seconds or SECONDS, count)
    return _figures(candidates) + _accounts(bench, candidates)


def _candidates(bench: Bench, upstream: nginx.Nginx, authority: Authority) -> list[Candidate]:
    running = bench.running
    plain = nginx.start_proxy(running, bench.place("proxy"), GATEWAY_CORE, upstream.port)
    tls = nginx.start_proxy(
        running, bench.place("proxy"), GATEWAY_CORE, upstream.tls_port, authority=authority
    )
    candidates = [
        Candidate(f"nginx, {PLAIN}", plain.port, "none", plain.process),
        Candidate(f"nginx, {TLS}", tls.port, "none", tls.process),
    ]
    if bench.options.gateway:
        for name, base_url, trusted in (
            (PLAIN, f"http://127.0.0.1:{upstream.port}/v1", None),
            (TLS, f"https://localhost:{upstream.tls_port}/v1", authority.root),
        ):
            configuration = shareai.one_route(base_url)
            candidates.append(gateway_candidate(bench, f"shareai, {name}", configuration, trusted=trusted))
    if bench.options.litellm:
        candidates.append(_litellm(bench, bench.options.litellm, upstream.port))
    return candidates


def _litellm(bench: Bench, command: str, upstream: int) -> Candidate:
    folder = bench.place("litellm")
    folder.mkdir()
    configuration = folder / "config.yaml"
    model = {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    # JSON is YAML.
    configuration.write_text(json.dumps({"model_list": [{"model_name": "bench", "litellm_params": model}]}))
    port = free_port()
    argv: list[str | Path] = [*shlex.split(command), "--config", configuration]
    argv += ["--host", "127.0.0.1", "--port", str(port)]
    process = bench.running.start(argv, core=GATEWAY_CORE, log=folder / "output.log")
    wait_for(process, port, "/health/liveliness", folder / "output.log", seconds=120)
    return Candidate("litellm", port, "none", process)


def _figures(candidates: list[Candidate]) -> list[Figure]:
    rates = {candidate.name: candidate.rates for candidate in candidates}
    figures: list[Figure] = []
    for candidate in candidates:
        late = median([result.p99 for result in candidate.results[1:]]) / 1000
        notes = [spread(rates[candidate.name]), f"p99 {late:.1f} ms"]
        notes.append(f"takes {median(candidate.shares[1:]):.0%} of its core")
        if candidate.waits:
            notes.append(f"at rest {median(candidate.waits[1:]):.1f} s after the load")
        note = "; ".join(note for note in notes if note)
        figures.append(Figure(PART, candidate.name, median(rates[candidate.name]), "requests/s", note=note))
    for candidate in candidates:
        what = f"{candidate.name}: processor time, a request"
        figures.append(Figure(PART, what, median(candidate.costs), "us", note=spread(candidate.costs, 1)))
    ratios: dict[str, list[float]] = defaultdict(list)
    for name, own in rates.items():
        compared = f"nginx, {TLS}" if name.endswith(TLS) else f"nginx, {PLAIN}"
        if name != compared:
            ratios[f"{name} : nginx"] = [mine / its for mine, its in zip(own, rates[compared], strict=True)]
    for name, own in ratios.items():
        limit = ">= 0.30" if name == f"shareai, {PLAIN} : nginx" else ""
        figures.append(Figure(PART, name, median(own), "of nginx", limit, spread(own, 3)))
    return figures


def _accounts(bench: Bench, candidates: list[Candidate]) -> list[Figure]:
    """Compare the rows that ShareAI kept with the requests that wrk saw answered."""
    figures: list[Figure] = []
    for candidate in candidates:
        if candidate.gateway is None:
            continue
        completed = sum(result.requests for result in candidate.results)
        cut_off = CONNECTIONS * len(candidate.results)
        rows = int(usage_requests(bench, candidate.gateway))
        wrong = max(completed - rows, 0) + max(rows - completed - cut_off, 0)
        note = f"{completed} answered, {rows} rows; wrk cuts off up to {cut_off} at its ends"
        figures.append(
            Figure(
                PART, f"{candidate.name}: requests without a row of their own", wrong, "rows", "<= 0", note
            )
        )
    return figures


def usage_requests(bench: Bench, gateway: shareai.Gateway) -> int:
    """Return the number of requests in the gateway's accounts."""
    return int(shareai.usage_total(bench.running, gateway)["requests"])

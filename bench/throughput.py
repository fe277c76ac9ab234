"""Requests a second, not streamed, 64 connections, one core for each candidate."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import psutil

from bench import nginx, shareai
from bench.context import Bench, progress
from bench.load import CONNECTIONS, Result, run_wrk
from bench.processes import GATEWAY_CORE, LOAD_CORE, BenchError, free_port, wait_for
from bench.report import Figure, median, spread
from bench.tls import Authority, make_authority

SECONDS = 20
"""Of load in a round: what the gateway puts off under a burst has to be done under so long a load."""

ROUNDS = 3
WARM_SECONDS = 1
PART = "throughput"
PLAIN, TLS = "plain upstream", "TLS upstream"


@dataclasses.dataclass
class Candidate:
    """Something that is loaded in turn; `settle` waits until it has done what it put off."""

    name: str
    port: int
    key: str
    process: subprocess.Popen[str]
    settle: Callable[[], float] | None = None
    gateway: shareai.Gateway | None = None
    results: list[Result] = dataclasses.field(default_factory=list)
    waits: list[float] = dataclasses.field(default_factory=list)
    shares: list[float] = dataclasses.field(default_factory=list)


def measure(bench: Bench) -> list[Figure]:
    """Run the rounds, candidates in turn, and check the accounts afterwards."""
    authority = make_authority(bench.place("tls"))
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE, authority)
    candidates = _candidates(bench, upstream, authority)
    seconds = bench.options.seconds or SECONDS
    for candidate in candidates:
        _load(bench, candidate, WARM_SECONDS)
    for number in range(bench.options.rounds or ROUNDS):
        turn = number % len(candidates)
        for candidate in candidates[turn:] + candidates[:turn]:
            result = _load(bench, candidate, seconds)
            progress(f"round {number + 1} {candidate.name}: {result.rate:.0f} requests/s")
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
            candidates.append(_gateway(bench, f"shareai, {name}", base_url, trusted))
    if bench.options.litellm:
        candidates.append(_litellm(bench, bench.options.litellm, upstream.port))
    return candidates


def _gateway(bench: Bench, name: str, base_url: str, trusted: Path | None) -> Candidate:

    gateway = shareai.start_gateway(
        bench.running, bench.place("gateway"), shareai.one_route(base_url), trusted=trusted
    )
    return Candidate(
        name,
        gateway.port,
        gateway.key,
        gateway.process,
        settle=lambda: shareai.wait_until_idle(gateway.process),
        gateway=gateway,
    )


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


def _load(bench: Bench, candidate: Candidate, seconds: int) -> Result:
    used, began = _computed(candidate), time.perf_counter()
    try:
        result = run_wrk(bench.running, bench.folder, candidate.port, candidate.key, seconds)
    except BenchError as error:
        raise BenchError(f"{candidate.name}: {error}") from None
    candidate.shares.append((_computed(candidate) - used) / (time.perf_counter() - began))
    candidate.results.append(result)
    if candidate.settle is not None:
        candidate.waits.append(candidate.settle())
    return result


def _computed(candidate: Candidate) -> float:
    """Return the processor seconds of a candidate and its children so far."""
    process = psutil.Process(candidate.process.pid)
    return sum(sum(part.cpu_times()[:2]) for part in (process, *process.children(recursive=True)))


def _figures(candidates: list[Candidate]) -> list[Figure]:
    rates = {candidate.name: [result.rate for result in candidate.results[1:]] for candidate in candidates}
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
        costs = [
            share / result.rate * 1e6
            for share, result in zip(candidate.shares[1:], candidate.results[1:], strict=True)
        ]
        what = f"{candidate.name}: processor time, a request"
        figures.append(Figure(PART, what, median(costs), "us", note=spread(costs, 1)))
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

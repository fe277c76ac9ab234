"""Many concurrent streams on one core: frames lost, and how much later the first token comes."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench import nginx, shareai
from bench.context import Bench, progress
from bench.processes import GATEWAY_CORE, LOAD_CORE, free_port, wait_for
from bench.report import Figure, median, quantile, spread

STREAMS = 512
DELTAS = 64
INTERVAL_MS = 20
ROUNDS = 5
PART = "streams"


def measure(bench: Bench) -> list[Figure]:
    """Run the rounds, candidates in turn."""
    upstream = start_stream_upstream(bench)
    proxy = nginx.start_proxy(bench.running, bench.place("proxy"), GATEWAY_CORE, upstream, buffering=False)
    candidates = {"direct": (upstream, "none"), "nginx": (proxy.port, "none")}
    gateway = None
    if bench.options.gateway:
        configuration = shareai.one_route(f"http://127.0.0.1:{upstream}/v1")
        gateway = shareai.start_gateway(bench.running, bench.place("gateway"), configuration)
        candidates["shareai"] = (gateway.port, gateway.key)
    for port, key in candidates.values():
        _run(bench, port, key, streams=STREAMS, deltas=DELTAS)  # connections are made, code is loaded
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(bench.options.rounds or ROUNDS):
        for name, (port, key) in candidates.items():
            run = _run(bench, port, key, streams=STREAMS, deltas=DELTAS)
            seen[name].append(run)
            if name == "shareai" and gateway is not None:
                shareai.wait_until_idle(gateway.process)
            progress(
                f"round {number + 1} {name}: first token p50 {median(run['first']):.0f} us, "
                f"p99 {quantile(run['first'], 0.99):.0f} us, lost {run['lost']}"
            )
    return _figures(seen)


def start_stream_upstream(bench: Bench) -> int:
    """Start the streaming upstream and return its port."""
    port = free_port()
    log = bench.folder / "stream-upstream.log"
    argv: list[str | Path] = [*bench.script("stream_upstream"), str(port), str(DELTAS), str(INTERVAL_MS)]
    process = bench.running.start(argv, core=LOAD_CORE, log=log, env=bench.script_environment)
    wait_for(process, port, "/v1/models", log)
    return port


def _run(bench: Bench, port: int, key: str, *, streams: int, deltas: int) -> dict[str, Any]:
    argv = [*bench.script("stream_load"), "--port", str(port), "--streams", str(streams)]
    environment = {**bench.script_environment, "BENCH_CLIENT_KEY": key}
    run = json.loads(bench.running.call(argv, core=LOAD_CORE, seconds=90, env=environment))
    assert isinstance(run, dict)
    return run


def _figures(seen: dict[str, list[dict[str, Any]]]) -> list[Figure]:
    figures: list[Figure] = []
    middle: dict[str, float] = {}
    late: dict[str, float] = {}
    for name, runs in seen.items():
        faults = {
            fault: sum(run[fault] for run in runs)
            for fault in ("lost", "disordered", "altered", "refused", "unended")
        }
        note = ", ".join(f"{count} {fault}" for fault, count in faults.items() if fault != "lost")
        frames = len(runs) * STREAMS * DELTAS
        figures.append(
            Figure(PART, f"{name}: frames lost of {frames}", faults["lost"], "frames", "<= 0", note)
        )
        middles = [median(run["first"]) / 1000 for run in runs]
        lates = [quantile(run["first"], 0.99) / 1000 for run in runs]
        middle[name], late[name] = median(middles), median(lates)
        figures += [
            Figure(PART, f"{name}: first token p50", middle[name], "ms", note=spread(middles, 2)),
            Figure(PART, f"{name}: first token p99", late[name], "ms", note=spread(lates, 2)),
            Figure(
                PART,
                f"{name}: any event on its way p50",
                median([run["transit_p50"] for run in runs]) / 1000,
                "ms",
                note=f"p99 {median([run['transit_p99'] for run in runs]) / 1000:.2f} ms",
            ),
        ]
    for name in seen:
        if name != "direct":
            figures.append(
                Figure(PART, f"{name}: added to direct at p50", middle[name] - middle["direct"], "ms")
            )
    if "shareai" in seen:
        figures += [
            Figure(PART, "shareai: later than nginx at p50", middle["shareai"] - middle["nginx"], "ms"),
            Figure(PART, "shareai: later than nginx at p99", late["shareai"] - late["nginx"], "ms", "<= 5"),
        ]
    runs = [run for all_runs in seen.values() for run in all_runs]
    own = max(run["processor"] for run in runs)
    figures += [
        Figure(
            PART,
            "the load's own lateness p99",
            median([run["send_late_p99"] for run in runs]) / 1000,
            "ms",
            note=f"a request is sent this much after its time; the load takes {own:.0%} of its core",
        ),
        Figure(
            PART,
            "the upstream's own lateness p99",
            median([run["upstream_late_p99"] for run in runs]) / 1000,
            "ms",
            note="an event is written this much after its time; not part of the figures above",
        ),
    ]
    return figures

"""What a dashboard takes that watches a busy gateway with large accounts, and what it costs the gateway."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from bench import nginx, shareai
from bench.context import Bench, progress
from bench.load import run_wrk
from bench.processes import GATEWAY_CORE, LOAD_CORE, BenchError
from bench.report import Figure, median, quantile, spread

PART = "dashboard"
SECONDS = 10
ROUNDS = 3
PAUSE_MS = 32
"""Between two requests of each of 64 connections: some 2 000 requests a second."""

PROVIDERS, ROUTES = 200, 20


def measure(bench: Bench) -> list[Figure]:
    """Watch a steady load; then load the gateway with and without somebody who watches, in turn."""
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    home, rows = bench.place("accounts"), bench.options.rows
    progress(f"writing {rows} rows")
    argv = [*bench.script("ledger_probe"), "fill", str(home), "--rows", str(rows)]
    bench.running.call(argv, core=GATEWAY_CORE, seconds=1800, env=bench.script_environment)
    configuration = _configuration(f"http://127.0.0.1:{upstream.port}/v1")
    gateway = shareai.start_gateway(bench.running, home, configuration)
    seconds = bench.options.seconds or SECONDS
    folder = bench.place("load")
    folder.mkdir()

    def load(pause_ms: int = 0) -> float:
        run = run_wrk(bench.running, folder, gateway.port, gateway.key, seconds, pause_ms=pause_ms)
        return run.rate

    load(PAUSE_MS)
    watching = _watch(bench, gateway, seconds)
    rate = load(PAUSE_MS)
    seen = watching.result()
    figures = [
        Figure(PART, "requests while it was watched", rate, "requests/s"),
        Figure(PART, "first screen", seen["first"], "s", "<= 1", f"{rows} rows, {PROVIDERS} targets"),
        Figure(PART, "a key is answered: median", median(seen["keys"]) * 1000, "ms", "<= 100"),
        Figure(PART, "a key is answered: p95", quantile(seen["keys"], 0.95) * 1000, "ms"),
        Figure(PART, "the dashboard's share of a core", seen["share"] * 100, "%", "<= 25"),
        Figure(PART, "the dashboard's memory", seen["resident"] / 1e6, "MB", "<= 150"),
    ]
    alone: list[float] = []
    watched: list[float] = []
    for number in range(bench.options.rounds or ROUNDS):
        for is_watched in (True, False) if number % 2 else (False, True):
            shareai.wait_until_idle(gateway.process)
            if not is_watched:
                alone.append(load())
                continue
            watching = _watch(bench, gateway, seconds + 2)
            time.sleep(2)
            watched.append(load())
            watching.result()
        progress(f"round {number + 1}: {alone[-1]:.0f} requests/s, watched {watched[-1]:.0f}")
    ratios = [one / other for one, other in zip(watched, alone, strict=True)]
    what = "the gateway's requests/s watched : not watched"
    return [*figures, Figure(PART, what, median(ratios), "times", ">= 0.95", spread(ratios, 3))]


class _Watching:
    def __init__(self, process: subprocess.Popen[str], bench: Bench, output: Any) -> None:
        self._process = process
        self._bench = bench
        self._output = output

    def result(self) -> dict[str, Any]:
        """Wait for its end, and return what it saw."""
        self._process.wait(120)
        self._bench.running.end(self._process)
        text = self._output.read_text()
        if not text.startswith("{"):
            raise BenchError(f"the dashboard could not be watched: {text[-600:]}")
        found: dict[str, Any] = json.loads(text)
        return found


def _watch(bench: Bench, gateway: shareai.Gateway, seconds: float) -> _Watching:
    output = bench.place("watched")
    argv = [*bench.script("dashboard_probe"), str(shareai.command())]
    argv += ["--seconds", str(seconds), "--marker", "up0/gpt-4o-mini"]
    environment = {**gateway.environment, **bench.script_environment}
    return _Watching(bench.running.start(argv, core=LOAD_CORE, log=output, env=environment), bench, output)


def _configuration(base_url: str) -> str:
    """Return routes of ten targets each; the first one is `bench`."""
    names = [f"up{number}" for number in range(PROVIDERS)]
    each = PROVIDERS // ROUTES
    routes = [
        shareai.route(
            "bench" if number == 0 else f"route{number}", *names[number * each : (number + 1) * each]
        )
        for number in range(ROUTES)
    ]
    return "".join([*(shareai.provider(name, base_url) for name in names), *routes])

"""How fast local models answer, over HTTP, beside llama.cpp's own servers where these are at hand.

All of them serve the same model with two threads, and share both cores with the load, which is light.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.context import Bench, progress
from bench.engine_models import SMALL, WORDY, write_model
from bench.processes import BOTH_CORES, BenchError, free_port, wait_for
from bench.report import Figure, median, spread

PART = "engine"
ROUNDS = 3
CONTEXT = 20_480
"""Tokens: room for all prompts of a run together."""

TOKENS = 96
MANY = 8
KEY = "bench"

READERS = 16
SHARED = 1_000
"""Clients, and the tokens that their prompts share."""

_OWN, _SERVER, _PYTHON = "shareai", "llama-server", "llama_cpp.server"


@dataclasses.dataclass
class Candidate:
    """A server of the model, and its tokens a second with one client and with many."""

    name: str
    port: int
    alone: list[float] = dataclasses.field(default_factory=list)
    many: list[float] = dataclasses.field(default_factory=list)


def measure(bench: Bench) -> list[Figure]:
    """Load those that are there in turn; then the engine's own prefixes and drawing."""
    folder = bench.place("models")
    folder.mkdir()
    small, wordy = folder / "small.gguf", folder / "wordy.gguf"
    write_model(small, SMALL)
    write_model(wordy, WORDY)
    runs = _Runs(bench)
    candidates = _start(bench, small)
    for candidate in candidates:
        runs.run(candidate.port, clients=2, tokens=16)
    for number in range(bench.options.rounds or ROUNDS):
        turn = number % len(candidates)
        for candidate in [*candidates[turn:], *candidates[:turn]]:
            candidate.alone.append(runs.rate(candidate.port, clients=1))
            candidate.many.append(runs.rate(candidate.port, clients=MANY))
            rates = f"{candidate.alone[-1]:.0f} and {candidate.many[-1]:.0f} tokens/s"
            progress(f"round {number + 1} {candidate.name}: {rates}")
    return [*_speeds(candidates), *_reuse(bench, runs, candidates[0]), *_drawing(bench, wordy)]


class _Runs:
    """Runs of the load, none with prompts that an earlier one had."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._count = 0

    def run(self, port: int, *, clients: int, tokens: int, more: tuple[str, ...] = ()) -> dict[str, Any]:
        """Ask for some replies at once, each of which must have all its tokens."""
        self._count += 1
        output = self._bench.running.call(
            [
                *self._bench.script("engine_load"),
                *("--port", str(port), "--key", KEY, "--clients", str(clients), "--tokens", str(tokens)),
                *("--seed", str(self._count), *more),
            ],
            core=BOTH_CORES,
            seconds=300,
            env=self._bench.script_environment,
        )
        found: dict[str, Any] = json.loads(output)
        counts = {reply["tokens"] for reply in found["replies"]}
        if counts != {tokens}:
            raise BenchError(f"replies of {tokens} tokens came in {sorted(counts)} events")
        return found

    def rate(self, port: int, *, clients: int) -> float:
        """Return the tokens a second of all clients together."""
        found = self.run(port, clients=clients, tokens=TOKENS)
        return clients * TOKENS / float(max(reply["seconds"] for reply in found["replies"]))


def _start(bench: Bench, model: Path) -> list[Candidate]:
    found = [Candidate(_OWN, _start_own(bench, model))]
    if bench.options.llama_server:
        port = free_port()
        argv = [bench.options.llama_server, "-m", str(model), "-c", str(CONTEXT), "-np", str(READERS)]
        argv += ["-t", "2", "-tb", "2", "--host", "127.0.0.1", "--port", str(port), "--alias", "bench"]
        _serve(bench, argv, port)
        found.append(Candidate(_SERVER, port))
    if bench.options.llama_python:
        port = free_port()
        argv = [bench.options.llama_python, "-m", "llama_cpp.server", "--model", str(model)]
        argv += ["--n_ctx", "4096", "--n_threads", "2", "--n_threads_batch", "2", "--host", "127.0.0.1"]
        argv += ["--port", str(port), "--interrupt_requests", "false"]
        _serve(bench, argv, port)
        found.append(Candidate(_PYTHON, port))
    return found


def _start_own(bench: Bench, model: Path) -> int:
    """Start a model's process as the node agent does: a line on its input, and the port as its answer."""
    log = bench.place("child")
    start = {
        "secret": KEY,
        "model": {"id": "bench", "path": str(model), "context": CONTEXT, "threads": 2},
    }
    argv = [sys.executable, "-m", "shareai_cli.llama"]
    process = bench.running.start(argv, core=BOTH_CORES, log=log, line=json.dumps(start))
    for _ in range(600):
        for line in log.read_text().splitlines():
            if line.startswith('{"port":'):
                return int(json.loads(line)["port"])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise BenchError(f"the model's process did not start: {log.read_text()[-600:]}")


def _serve(bench: Bench, argv: list[str], port: int) -> subprocess.Popen[str]:
    log = bench.place("server")
    process = bench.running.start(argv, core=BOTH_CORES, log=log)
    wait_for(process, port, "/v1/models", log, seconds=60, pause=0.2)
    return process


def _speeds(candidates: list[Candidate]) -> list[Figure]:
    figures: list[Figure] = []
    for one in candidates:
        figures.append(
            Figure(PART, f"{one.name}: 1 client", median(one.alone), "tokens/s", "", spread(one.alone))
        )
        figures.append(
            Figure(PART, f"{one.name}: {MANY} clients", median(one.many), "tokens/s", "", spread(one.many))
        )
    own = candidates[0]
    promises = {_SERVER: (">= 0.95", ">= 1.0"), _PYTHON: ("", ">= 2.5")}
    for other in candidates[1:]:
        alone, many = promises[other.name]
        for count, mine, its, promise in (
            (1, own.alone, other.alone, alone),
            (MANY, own.many, other.many, many),
        ):
            ratios = [a / b for a, b in zip(mine, its, strict=True)]
            what = f"{own.name} : {other.name}, {count} client{'s' if count > 1 else ''}"
            figures.append(Figure(PART, what, median(ratios), "times", promise, spread(ratios, 2)))
    return figures


def _reuse(bench: Bench, runs: _Runs, own: Candidate) -> list[Figure]:
    """Return the time to the first token with prompts that share a beginning, by that of others as long."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for number in range(bench.options.rounds or ROUNDS):
        for reuse in (True, False) if number % 2 else (False, True):
            more = ("--shared", str(SHARED), *(["--reuse"] if reuse else []))
            seen = runs.run(own.port, clients=READERS, tokens=8, more=more)
            found[reuse].append(median([reply["first"] for reply in seen["replies"]]))
            progress(f"{READERS} prompts, {'shared' if reuse else 'not shared'}: {found[reuse][-1]:.2f} s")
    ratios = [shared / other for shared, other in zip(found[True], found[False], strict=True)]
    what = f"first token of {READERS} prompts that share {SHARED} tokens : of others"
    note = f"{median(found[True]):.2f} s and {median(found[False]):.2f} s; {spread(ratios, 2)}"
    return [Figure(PART, what, median(ratios), "times", "<= 0.333", note)]


def _drawing(bench: Bench, model: Path) -> list[Figure]:
    output = bench.running.call(
        [*bench.script("engine_probe"), str(model)],
        core=BOTH_CORES,
        seconds=300,
        env=bench.script_environment,
    )
    promises = {"greedy": "<= 1", "top_k 40": "<= 1", "top_k 100": "<= 1", "grammar": "<= 3"}
    return [
        Figure(
            PART,
            f"a token beside llama_decode, {name}",
            value,
            "ms",
            promises.get(name, ""),
            "vocabulary 152 000",
        )
        for name, value in json.loads(output).items()
    ]

"""How long a command takes to start, beside an interpreter that does nothing, and how soon `serve` serves."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping

from bench import nginx, shareai
from bench.context import Bench
from bench.processes import GATEWAY_CORE, LOAD_CORE
from bench.report import Figure, median, spread

ROUNDS = 15
FEWEST = 3
"""Rounds of what has many lines to it."""

STARTS = 5
PART = "startup"


def measure(bench: Bench) -> list[Figure]:
    """Start each in turn; files are in the page cache after the first, which is not counted."""
    figures = [*_commands(bench), *_completion(bench)]
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


def _commands(bench: Bench) -> Iterator[Figure]:
    """The root's help beside a bare interpreter, and the slowest of every other command's."""
    program = [str(shareai.command())]
    for what, lines in (("shareai --help", [()]), ("--help of any command", _every_command(bench))):
        bare: list[float] = []
        helped: dict[tuple[str, ...], list[float]] = {words: [] for words in lines}
        for _ in range((bench.options.rounds or ROUNDS // len(lines) or FEWEST) + 1):
            bare.append(_lasting(bench, [sys.executable, "-c", "pass"]))
            for words, times in helped.items():
                times.append(_lasting(bench, [*program, *words, "--help"]))
        slowest = max(helped, key=lambda words: median(helped[words][1:]))
        yield from _against_bare(what, bare[1:], helped[slowest][1:], " ".join(slowest))


def _completion(bench: Bench) -> Iterator[Figure]:
    """What a shell waits for when the tab key is pressed at a model's name, of a thousand."""
    home = bench.place("completing")
    (home / "state").mkdir(parents=True)
    (home / "config.toml").write_text(shareai.provider("alpha", "http://127.0.0.1:9/v1"))
    offered = {"alpha": [f"model-{number}" for number in range(1000)]}
    (home / "state" / "offered.json").write_text(json.dumps(offered))
    environment = {"SHAREAI_HOME": str(home), "_SHAREAI_COMPLETE": "+alpha/model-99"}
    bare: list[float] = []
    completed: list[float] = []
    for _ in range((bench.options.rounds or ROUNDS) + 1):
        bare.append(_lasting(bench, [sys.executable, "-c", "pass"]))
        completed.append(_lasting(bench, [str(shareai.command()), "chat"], environment))
    yield from _against_bare("completing a model's name", bare[1:], completed[1:], "")


def _against_bare(what: str, bare: list[float], times: list[float], which: str) -> Iterator[Figure]:
    """Either bound is enough, so the one that is met is the one that is shown."""
    ratio = median(times) / median(bare)
    note = f"{which}, {spread(times, 1)}" if which else spread(times, 1)
    yield Figure(PART, what, median(times), "ms", "" if ratio <= 7 else "<= 150", note)
    limit = "<= 7" if ratio <= 7 or median(times) > 150 else ""
    yield Figure(PART, f"{what} : python -c pass", ratio, "times", limit, f"bare {median(bare):.1f} ms")


def _every_command(bench: Bench) -> list[tuple[str, ...]]:
    """Return the words of every command and group beneath the root."""
    program = (
        "import json, typer\nfrom shareai_cli.cli.app import app\n"
        "def walk(group, *path):\n"
        "    for name in group.list_commands(typer.Context(group)):\n"
        "        found = group.get_command(typer.Context(group), name)\n"
        "        yield (*path, name)\n"
        "        if hasattr(found, 'list_commands'):\n"
        "            yield from walk(found, *path, name)\n"
        "print(json.dumps(list(walk(typer.main.get_command(app)))))"
    )
    told = bench.running.call([sys.executable, "-c", program], core=GATEWAY_CORE, seconds=60)
    return [tuple(words) for words in json.loads(told)]


def _lasting(bench: Bench, argv: list[str], environment: Mapping[str, str] | None = None) -> float:
    began = time.perf_counter()
    bench.running.call(argv, core=GATEWAY_CORE, seconds=60, env=environment)
    return (time.perf_counter() - began) * 1000

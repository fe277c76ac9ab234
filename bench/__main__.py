"""`python -m bench [PART ...]`: measure, print a table, and fail where a promise is missed."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from bench.context import NOISE, Bench, Options, noise
from bench.processes import BenchError, check_cores, processes
from bench.report import Figure, machine, save, table

PARTS = (
    "throughput",
    "latency",
    "streams",
    "failover",
    "policy",
    "hits",
    "startup",
    "size",
    "ledger",
    "picking",
    "engine",
    "dashboard",
)
QUIET = 3.0
"""Percent of a core that others may take before the figures come with a warning."""
NEED_GATEWAY = ("failover", "hits", "startup", "size", "ledger", "picking", "engine", "dashboard")


def main() -> int:
    """Run the parts; returns 0 when every promise holds, 1 when one does not, 2 when nothing can be said."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway against nginx.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all by default")
    parser.add_argument("--seconds", type=int, default=0, help="of load in a round of throughput (20)")
    parser.add_argument("--rounds", type=int, default=0, help="of each part (each has its own number)")
    parser.add_argument("--requests", type=int, default=200_000, help="between two looks at the size")
    parser.add_argument("--rows", type=int, default=1_000_000, help="under the report of the ledger")
    parser.add_argument("--litellm", metavar="COMMAND", help="starts LiteLLM's proxy, as a third candidate")
    parser.add_argument("--llama-server", metavar="FILE", help="llama.cpp's own server, beside the engine")
    parser.add_argument(
        "--llama-python", metavar="PYTHON", help="one that has llama-cpp-python[server], beside the engine"
    )
    parser.add_argument(
        "--nginx-only", action="store_true", help="leave ShareAI out: checks the bench itself"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to put the figures, too")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}; there are {', '.join(PARTS)}")
    options = Options(
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        requests=arguments.requests,
        rows=arguments.rows,
        gateway=not arguments.nginx_only,
        litellm=arguments.litellm,
        llama_server=arguments.llama_server,
        llama_python=arguments.llama_python,
    )
    parts = [part for part in PARTS if part in (arguments.parts or PARTS)]
    figures: list[Figure] = []
    try:
        check_cores()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, processes() as running:
            bench = Bench(running, Path(folder), options)
            for part in parts:
                if part in NEED_GATEWAY and not options.gateway:
                    continue
                print(part, file=sys.stderr, flush=True)
                with bench.part() as own:
                    figures += noise(own, part)
                    figures += importlib.import_module(f"bench.{part}").measure(own)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        _show(figures, arguments.json)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        _show(figures, arguments.json)
        return 130
    _show(figures, arguments.json)
    return int(any(figure.holds is False for figure in figures))


def _show(figures: list[Figure], file: Path | None) -> None:
    if not figures:
        return
    print(table(figures))
    noisiest = max((figure.value for figure in figures if figure.what.startswith(NOISE)), default=0.0)
    if noisiest > QUIET:
        print(
            f"Others took up to {noisiest:.0f} % of a core: on a busy machine the p99 and ratios mean little."
        )
    print("  ".join(f"{name} {value}" for name, value in machine().items()))
    if file is not None:
        save(file, figures)


if __name__ == "__main__":
    sys.exit(main())

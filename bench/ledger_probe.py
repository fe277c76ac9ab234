"""The ledger without a gateway: `python -m bench.ledger_probe late|fill HOME ...` prints JSON.

`late` runs an event loop that takes in entries at a fixed rate, with the ledger's writer at work or without a
ledger, and is woken from another process and core: how long after its wake-up call the loop runs is what a
request would have waited. A timer of the loop's own would only show that it counts in milliseconds.

`fill` writes rows that differ as a real month's do, through the ledger itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench.processes import GATEWAY_CORE, LOAD_CORE
from bench.report import median, quantile
from shareai_cli.catalog.prices import PriceBook
from shareai_cli.ledger import Closed, Ledger, Opened, RequestIds
from shareai_cli.paths import find_paths
from shareai_cli.types import Attempt, Outcome, Usage

_CALLS = 1000
"""Wake-up calls a second."""

_WARM = 2.0
"""Seconds that the ledger is open before: it loads the prices in its first idle second, once."""

_CALLER = (
    "import socket,struct,sys,time\n"
    "line=socket.socket(fileno=int(sys.argv[1]))\n"
    "line.recv(1)\n"
    "step=1/{calls};due=time.perf_counter()\n"
    "for _ in range(int(sys.argv[2])):\n"
    " due+=step\n"
    " time.sleep(max(due-time.perf_counter(),0))\n"
    " line.send(struct.pack('q',time.monotonic_ns()))\n"
)
_DAY_MS = 86_400_000
_MODELS = (
    "gpt-4o-mini",
    "gpt-4o",
    "gpt-5-mini",
    "gpt-5",
    "o4-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
)
_PROVIDERS = ("openai", "alpha", "beta")


def entries(count: int, days: int, seed: int = 7) -> Iterator[tuple[Opened, Closed]]:
    """Make the two entries of each request, spread evenly over the days until now."""
    dice = random.Random(seed)
    ids = RequestIds()
    now = int(time.time() * 1000)
    for number in range(count):
        time_ms = now - int(days * _DAY_MS * (1 - number / count))
        model = dice.choice(_MODELS)
        provider = dice.choice(_PROVIDERS)
        prompt, completion = int(dice.expovariate(1 / 900)) + 8, int(dice.expovariate(1 / 250)) + 1
        cached = prompt // 2 if dice.random() < 0.3 else 0
        request, key = ids.next(), dice.randrange(1, 13)
        route, streamed = f"route-{dice.randrange(8)}", dice.random() < 0.6
        total_us = int(dice.expovariate(1 / 4_000_000)) + 200_000
        fingerprint = dice.randbytes(8)
        opened = Opened(
            request=request,
            time_ms=time_ms,
            caller_key=key,
            team="default",
            route=route,
            streamed=streamed,
            prompt_bytes=prompt * 4,
            fingerprint=fingerprint,
        )
        closed = Closed(
            request=request,
            time_ms=time_ms,
            caller_key=key,
            team="default",
            route=route,
            target=f"{provider}/{model}",
            price_as="openai",
            model=model,
            provider_key=f"{key:08x}",
            status=200,
            streamed=streamed,
            outcome=Outcome.OK,
            error="",
            attempts=(Attempt(f"{provider}/{model}", f"{key:08x}", "ok", 200, total_us),),
            usage=Usage(prompt - cached, cached, 0, completion, 0),
            prompt_bytes=prompt * 4,
            completion_bytes=completion * 5,
            first_token_us=total_us // 5 if streamed else 0,
            total_us=total_us,
            fingerprint=fingerprint,
        )
        yield opened, closed


def open_ledger(home: Path) -> Ledger:
    """Open the ledger of a folder, as the gateway does."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths = find_paths({"SHAREAI_HOME": str(home)})
    paths.make_state()
    return Ledger.open(paths, PriceBook)


class Listener:
    """Wakes with each call, notes how late it is, and then takes in the entries that are due."""

    def __init__(
        self,
        line: socket.socket,
        ledger: Ledger | None,
        calls: int,
        prepared: list[tuple[Opened, Closed]],
    ) -> None:
        self.late: list[float] = []
        self.taking: list[float] = []
        self._line = line
        self._ledger = ledger
        self._requests = len(prepared) // calls
        self._prepared = prepared
        self._next = 0
        self._calls = calls
        self.all_heard = asyncio.Event()

    def called(self) -> None:
        """Answer the calls that wait: one, unless the loop was held up."""
        calls = self._line.recv(8 * 1000)
        began = time.monotonic_ns()
        for (sent,) in struct.iter_unpack("q", calls):
            self.late.append((began - sent) / 1000)
            for opened, closed in self._prepared[self._next : self._next + self._requests]:
                if self._ledger is not None:
                    self._ledger.opened(opened)
                    self._ledger.closed(closed)
            self._next += self._requests
        self.taking.append((time.monotonic_ns() - began) / 1000)
        if len(self.late) >= self._calls:
            self.all_heard.set()


def late(home: Path | None, rate: int, seconds: int) -> dict[str, float]:
    """Return the lateness in microseconds, and how long the writer needed afterwards."""
    calls = seconds * _CALLS
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    pinned = ("taskset", "-c", str(LOAD_CORE), sys.executable, "-c", _CALLER.format(calls=_CALLS))
    prepared = list(entries(calls * (rate // 2 // _CALLS), 1))
    caller = subprocess.Popen([*pinned, str(theirs.fileno()), str(calls)], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        return uvloop.run(_listen(ours, home, calls, prepared))
    finally:
        caller.terminate()
        caller.wait()
        ours.close()


async def _listen(
    line: socket.socket, home: Path | None, calls: int, prepared: list[tuple[Opened, Closed]]
) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    ledger = open_ledger(home) if home is not None else None
    listener = Listener(line, ledger, calls, prepared)
    await asyncio.sleep(_WARM)
    gc.collect()
    gc.freeze()
    line.send(b"!")  # now the caller may begin
    loop.add_reader(line.fileno(), listener.called)
    try:
        await asyncio.wait_for(listener.all_heard.wait(), calls / _CALLS + 30)
    finally:
        loop.remove_reader(line.fileno())
    ended = time.perf_counter()
    if ledger is not None:
        await ledger.settled()
        ledger.close()
    return {
        "p50": median(listener.late),
        "p99": quantile(listener.late, 0.99),
        "max": max(listener.late),
        "taking_p50": median(listener.taking),
        "settled_seconds": time.perf_counter() - ended,
    }


async def _fill(home: Path, rows: int) -> dict[str, float]:
    ledger = open_ledger(home)
    began = time.perf_counter()
    for number, (opened, closed) in enumerate(entries(rows, 60), 1):
        ledger.opened(opened)
        ledger.closed(closed)
        if not number % 10_000:
            await ledger.settled()
    await ledger.settled()
    ledger.close()
    return {"seconds": time.perf_counter() - began}


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("late", "without", "fill"))
    parser.add_argument("home", type=Path)
    parser.add_argument("--rate", type=int, default=15_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    os.sched_setaffinity(0, {GATEWAY_CORE})
    if options.what == "fill":
        result = uvloop.run(_fill(options.home, options.rows))
    else:
        home = options.home if options.what == "late" else None
        result = late(home, options.rate, options.seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    _main()

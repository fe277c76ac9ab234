"""Running a gateway until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterator

from shareai_cli.gateway.process import GatewayProcess, Ready, Start

MADE_OBJECTS = 50_000
"""How many more objects have been made than freed when the garbage collector looks at them."""


async def serve(start: Start, ready: Callable[[Ready], None]) -> None:
    """Run a gateway until SIGINT or SIGTERM; a second one ends it at once."""
    signals = asyncio.Queue[int]()
    with _signals_into(signals):
        process = GatewayProcess(start)
        told = await process.start()
        try:
            ready(told)
        except BaseException:
            await process.close()
            raise
        _spare_the_collector()
        await signals.get()
        if process.gateway.in_flight:
            process.notice(f"Ending; {process.gateway.in_flight} requests under way are given time to end.")
        loop = asyncio.get_running_loop()
        closing, again = loop.create_task(process.close()), loop.create_task(signals.get())
        await asyncio.wait({closing, again}, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if not closing.done():
            process.abort()
        await closing


def _spare_the_collector() -> None:
    """Have the garbage collector look at less, and more seldom.

    What lives as long as the process is not looked at again. What a request makes is freed when it ends,
    without the collector, whose looks at hundreds of open streams would take milliseconds each.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(MADE_OBJECTS)


@contextlib.contextmanager
def _signals_into(signals: asyncio.Queue[int]) -> Iterator[None]:
    """Put SIGINT and SIGTERM into a queue."""
    loop = asyncio.get_running_loop()
    caught = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        for one in caught:
            signal.signal(one, lambda number, _: loop.call_soon_threadsafe(signals.put_nowait, number))
        yield
        return
    for one in caught:
        loop.add_signal_handler(one, signals.put_nowait, one)
    try:
        yield
    finally:
        for one in caught:
            loop.remove_signal_handler(one)

"""A gateway that is killed while it works, over and over: `python -m tests.gateway.limits.killed HOME KILLS`.

Each start writes a line of JSON: what its limits have counted, what the rows of the accounts add up to, and
how many of these tell of requests that a kill has cut off. All is loaded once; each gateway is a process
forked from here, which a signal ends that nothing can catch.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading

from shareai_cli.paths import Paths, find_paths
from tests.gateway.limits.whole import SECRET, Whole, counted, serving, sums_of_rows
from tests.support.behaviours import Behaviour, Received, chat, stream
from tests.support.upstream import FaultUpstream

CLIENTS = 6
LONGEST = 0.12
"""Seconds that a gateway lives once it has begun to serve."""


def answer(request: Received) -> Behaviour:
    """Take a moment, so that each kill meets requests at every stage."""
    wait = random.uniform(0.0, 0.02)
    return stream("one ", "two ", "three").spaced(wait) if request.streamed else chat().after_delay(wait)


async def ask(port: int, number: int) -> None:
    """Ask one thing, as a client does that is gone with its gateway."""
    body = json.dumps(
        {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "stream": number % 2 == 0}
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
        % (SECRET.encode(), len(body), body)
    )
    await reader.read(1 << 20)
    while await reader.read(1 << 20):
        pass
    writer.close()
    await writer.wait_closed()


def tell(paths: Paths, whole: Whole, said: str) -> None:
    """Write what was counted, and what the accounts say."""
    uses = counted(whole.gateway.limiter.use())
    line = {"said": said, "counted": uses, "rows": sums_of_rows(paths)}
    os.write(1, json.dumps(line).encode() + b"\n")


async def work(paths: Paths, lives: float | None) -> None:
    """Serve until it is killed; one that lives for good serves some requests to their end."""
    async with FaultUpstream(default=answer) as upstream, serving(paths, upstream.base_url) as whole:
        tell(paths, whole, "started")
        if lives is not None:
            killer = threading.Timer(lives, os.kill, (os.getpid(), signal.SIGKILL))
            killer.daemon = True
            killer.start()
            while True:
                await asyncio.gather(*[ask(whole.port, number) for number in range(CLIENTS)])
        await asyncio.gather(*[ask(whole.port, number) for number in range(CLIENTS)])
        await whole.ledger.settled()
        tell(paths, whole, "served")


def main(home: str, kills: int) -> None:
    """Start gateway after gateway, the last of which is not killed."""
    paths = find_paths({"SHAREAI_HOME": home})
    dice = random.Random(7)
    for lives in [*(dice.uniform(0.0, LONGEST) for _ in range(kills)), None]:
        child = os.fork()
        if not child:
            try:
                asyncio.run(work(paths, lives))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == (0 if lives is None else -signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

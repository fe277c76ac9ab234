"""The load of the engine's part: `python -m bench.engine_load` prints when each token of each reply came."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

_EVENT = b"data: "
_DONE = b"[DONE]"


async def stream(port: int, key: str, body: bytes) -> dict[str, Any]:
    """Ask for one streamed completion; returns seconds to its first token and in all, and its tokens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    began = time.perf_counter()
    writer.write(head.encode() + body)
    first, tokens, is_done = 0.0, 0, False
    status = (await reader.readline()).split()
    if len(status) < 2 or status[1] != b"200":
        raise SystemExit(f"a server answered {status}: {(await reader.read(2000))[-500:]!r}")
    async for line in reader:
        if not line.startswith(_EVENT):
            continue
        data = line[len(_EVENT) :].strip()
        is_done = data == _DONE
        if not is_done and any(choice["text"] for choice in json.loads(data)["choices"]):
            tokens += 1
            first = first or time.perf_counter() - began
    writer.close()
    if not is_done:
        raise SystemExit("a stream broke off")
    return {"first": first, "seconds": time.perf_counter() - began, "tokens": tokens}


async def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ask for all replies at once, every prompt another one after what they share."""
    bodies = []
    for number in range(options.clients):
        mark = f"{options.seed}x{number}x"
        shared = f"{options.seed}y" + "s" * options.shared
        prompt = shared + mark if options.reuse else mark + shared
        body = {
            "model": "bench",
            "prompt": prompt,
            "max_tokens": options.tokens,
            "stream": True,
            "seed": number,
        }
        bodies.append(json.dumps(body).encode())
    return await asyncio.gather(*(stream(options.port, options.key, body) for body in bodies))


def main() -> None:
    """Run once and print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True, help="no two runs have prompts that are alike")
    parser.add_argument("--shared", type=int, default=40, help="tokens of a prompt that all of them have")
    parser.add_argument("--reuse", action="store_true", help="these come first, and can be reused")
    began = time.perf_counter()
    replies = asyncio.run(run(parser.parse_args()))
    print(json.dumps({"seconds": time.perf_counter() - began, "replies": replies}))


if __name__ == "__main__":
    main()

"""A server of this machine's own processes, and a client that has its secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shareai_cli.wire.message import Handler
from shareai_cli.wire.refusal import refusal
from shareai_cli.wire.server import Server


@asynccontextmanager
async def client_of(handler: Handler, secret: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a handler on loopback, and yield a client that presents `secret`."""
    server = Server(handler, refuse=refusal)
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}",
        headers={"Authorization": f"Bearer {secret}"},
        timeout=30,
        trust_env=False,
    ) as client:
        yield client
    await server.close(1.0)

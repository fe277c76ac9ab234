"""A model of the tests served over HTTP by this process, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from shareai_cli.llama.bindings import Model
from shareai_cli.llama.demo.build import DEMO_FILE
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.scheduler import Batching
from shareai_cli.llama.server import ModelServer
from tests.support.loopback import client_of
from tests.support.waiting import until

SECRET = "the-secret-of-this-test"
CONTEXT = 2048
SLOTS = 2


class Running:
    """A served demo model, and a client of it."""

    def __init__(self, client: httpx.AsyncClient, scheduler: Batching, model: Model) -> None:
        self.client = client
        self.scheduler = scheduler
        self.model = model

    async def idle(self) -> None:
        """Wait until the engine works on nothing."""
        await until(lambda: not self.scheduler.load().running and not self.scheduler.load().waiting)


@asynccontextmanager
async def serve(context: int = CONTEXT, path: Path = DEMO_FILE) -> AsyncIterator[Running]:
    """Serve a model as `shareai-demo`, whatever it is."""
    engine = Engine(str(path), context=context, slots=SLOTS)
    scheduler = Batching(engine, queue=1)
    model_server = ModelServer(
        "shareai-demo",
        model=engine.model,
        context_size=engine.context_size,
        scheduler=scheduler,
        embedder=engine.embedder,
        secret=SECRET,
    )
    async with client_of(model_server.handle, SECRET) as client:
        yield Running(client, scheduler, engine.model)
    model_server.close()
    scheduler.close()

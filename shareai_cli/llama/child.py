"""A model's process: load the model, listen on loopback, say the port, and end with the parent."""

from __future__ import annotations

import asyncio
import os

from shareai_cli.errors import ShareAIError
from shareai_cli.wire.loop import loop_factory
from shareai_cli.wire.process import ChildStart, Started, announce, read_start
from shareai_cli.wire.refusal import refusal
from shareai_cli.wire.server import Server


def main() -> int:
    """Serve the model that the start line names; return the exit status if that fails."""
    start = read_start(ChildStart)
    # A failed assertion of llama.cpp's would start a debugger, where there is one, to print a backtrace.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    try:
        run(start)
    except ShareAIError as error:
        announce(Started(error=str(error)))
        return 1
    except Exception as error:
        announce(Started(error=f"The process of {start.model.id!r} failed: {type(error).__name__}: {error}"))
        return 1
    return 0


def run(start: ChildStart) -> None:
    """Load the model and serve it; returns only by an error, as the pipe's end ends the process."""
    # Imported here: a missing or broken llama.cpp is an error to be told to the parent.
    from shareai_cli.llama.engine import Engine
    from shareai_cli.llama.scheduler import Batching
    from shareai_cli.llama.server import ModelServer

    model, layout = start.model, start.layout
    engine = Engine(
        model.path,
        context=model.context,
        cells=layout.cells,
        threads=model.threads,
        slots=layout.slots,
        gpu_layers=layout.gpu_layers,
        flash_attention=model.flash_attention,
    )

    async def serve() -> None:
        handler = ModelServer(
            model.id,
            model=engine.model,
            context_size=engine.context_size,
            scheduler=Batching(engine),
            embedder=engine.embedder,
            secret=start.secret,
        )
        server = Server(handler.handle, refuse=refusal)
        await server.start("127.0.0.1", 0)
        announce(Started(port=server.port))
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve())

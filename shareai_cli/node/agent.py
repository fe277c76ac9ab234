"""The agent's HTTP interface and its process: this machine's models behind one loopback port.

`POST /v1/chat/completions`, `/v1/completions` and `/v1/embeddings`, `GET` and `PUT /v1/models`, `GET
/health`, `GET /machine`; all want the secret of the start line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from shareai_cli.errors import (
    MalformedRequest,
    MethodNotAllowed,
    ShareAIError,
    UnknownPath,
)
from shareai_cli.node.children import Children
from shareai_cli.node.machine import Machine
from shareai_cli.node.models import has_llama
from shareai_cli.node.proxy import forward
from shareai_cli.types import LocalModel
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.loop import loop_factory
from shareai_cli.wire.message import Request, Response
from shareai_cli.wire.process import AgentStart, Started, announce, check_secret, read_start
from shareai_cli.wire.refusal import refusal
from shareai_cli.wire.server import Server

_JSON = (b"content-type", b"application/json")


class _Named(Struct):
    """The one field of a request that the agent itself reads."""

    model: str


_named_decoder = msgspec.json.Decoder(_Named)
_models_decoder = msgspec.json.Decoder(tuple[LocalModel, ...])


class Agent:
    """Answers for all models of this machine."""

    def __init__(self, children: Children, *, secret: str) -> None:
        self._children = children
        self._machine = Machine(children)
        self._authorization = b"Bearer " + secret.encode()
        self._routes: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {
            "/v1/chat/completions": {"POST": self._forward},
            "/v1/completions": {"POST": self._forward},
            "/v1/embeddings": {"POST": self._forward},
            "/v1/models": {"GET": self._list_models, "PUT": self._replace_models},
            "/health": {"GET": self._health},
            "/machine": {"GET": self._look},
        }

    def __repr__(self) -> str:
        return f"<Agent {self._children!r}>"

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        check_secret(request, self._authorization)
        methods = self._routes.get(request.path)
        if methods is None:
            raise UnknownPath(f"Nothing is served under {request.path[:100]}.")
        answer = methods.get(request.method)
        if answer is None:
            raise MethodNotAllowed(f"{request.path} takes {', '.join(methods)}.")
        return await answer(request)

    async def _forward(self, request: Request) -> Response:
        try:
            model = _named_decoder.decode(request.body).model
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise MalformedRequest(
                "The body has to be a JSON object with the string 'model'.", param="model"
            ) from None
        return await forward(request, await self._children.lease(model))

    async def _list_models(self, _request: Request) -> Response:
        listed = [
            {"id": model.id, "object": "model", "created": 0, "owned_by": "node"}
            for model in self._children.models
        ]
        return Response(200, [_JSON], msgspec.json.encode({"object": "list", "data": listed}))

    async def _replace_models(self, request: Request) -> Response:
        try:
            models = _models_decoder.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRequest(f"The body is not a list of models: {error}.") from None
        await self._children.replace(models)
        return await self._list_models(request)

    async def _health(self, _request: Request) -> Response:
        return Response(200, [_JSON], msgspec.json.encode({"models": self._children.reports()}))

    async def _look(self, _request: Request) -> Response:
        return Response(200, [_JSON], msgspec.json.encode(await self._machine.look()))


def main() -> int:
    """Run the agent until its parent ends it; return the exit status if it cannot run."""
    start = read_start(AgentStart)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(start))
    except (ShareAIError, OSError) as error:
        announce(Started(error=f"The node agent failed: {error}"))
        return 1
    return 0


async def serve(start: AgentStart) -> None:
    """Serve until this process is ended."""
    children = Children(start.models, environ=os.environ, has_llama=has_llama(), deadlines=Deadlines())
    server = Server(Agent(children, secret=start.secret).handle, refuse=refusal)
    await server.start("127.0.0.1", 0)
    announce(Started(port=server.port))
    await children.keep_tidy()

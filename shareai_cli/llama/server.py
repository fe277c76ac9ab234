"""The child's HTTP interface: one model under OpenAI's paths, for whoever holds the secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from shareai_cli.errors import (
    MethodNotAllowed,
    ShareAIError,
    UnknownModel,
    UnknownPath,
)
from shareai_cli.llama.batching.generation import Delta, GenerationRequest
from shareai_cli.llama.bindings import Model
from shareai_cli.llama.bodies.chat import ChatBody, decode_chat
from shareai_cli.llama.bodies.completion import CompletionBody, decode_completion
from shareai_cli.llama.bodies.embedding import EmbeddingBody, decode_embedding
from shareai_cli.llama.bodies.generation import GenerationBody
from shareai_cli.llama.completion_reply import CompletionReply
from shareai_cli.llama.embedding import Embedder
from shareai_cli.llama.embedding_reply import embeddings_object
from shareai_cli.llama.prompts import PromptReader
from shareai_cli.llama.replies import ChatReply, Reply
from shareai_cli.llama.scheduler import Generation, Scheduler
from shareai_cli.types import WallClock
from shareai_cli.wire.message import Request, Response
from shareai_cli.wire.process import check_secret
from shareai_cli.wire.refusal import error_event

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
MODELS = "/v1/models"
HEALTH = "/health"

Body = TypeVar("Body", ChatBody, CompletionBody, EmbeddingBody)
Understood = TypeVar("Understood")
Answer = Callable[[Request], Awaitable[Response]]

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


class ModelServer:
    """Answers requests for one model through a scheduler."""

    def __init__(
        self,
        name: str,
        *,
        model: Model,
        context_size: int,
        scheduler: Scheduler,
        embedder: Embedder,
        secret: str,
        wall_clock: WallClock = time.time,
    ) -> None:
        self._name = name
        self._model = model
        self._context_size = context_size
        self._scheduler = scheduler
        self._embedder = embedder
        self._authorization = b"Bearer " + secret.encode()
        self._wall_clock = wall_clock
        self._prompts = PromptReader(
            model, context_size=context_size, slots=scheduler.load().slots, longest=embedder.longest
        )
        self._routes: dict[str, tuple[str, Answer]] = {
            CHAT: ("POST", self._chat),
            COMPLETIONS: ("POST", self._completions),
            EMBEDDINGS: ("POST", self._embeddings),
            MODELS: ("GET", self._list_models),
            HEALTH: ("GET", self._health),
        }
        # Reading a long prompt's text takes a while: not on the loop, and without waiting for the engine.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="prompt")

    def __repr__(self) -> str:
        return f"<ModelServer {self._name!r} {self._scheduler!r}>"

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        check_secret(request, self._authorization)
        method, answer = self._routes.get(request.path, ("", None))
        if answer is None:
            raise UnknownPath(f"Nothing is served under {request.path[:100]}.")
        if request.method != method:
            raise MethodNotAllowed(f"{request.path} takes {method}.")
        return await answer(request)

    def close(self) -> None:
        """End the thread that reads prompts."""
        self._reader.shutdown(cancel_futures=True)

    async def _health(self, _request: Request) -> Response:
        load = msgspec.to_builtins(self._scheduler.load())
        state = {"model": self._name, "context": self._context_size, **load}
        return Response(200, [_JSON], msgspec.json.encode(state))

    async def _list_models(self, _request: Request) -> Response:
        listed = {"id": self._name, "object": "model", "created": 0, "owned_by": "node"}
        return Response(200, [_JSON], msgspec.json.encode({"object": "list", "data": [listed]}))

    async def _chat(self, request: Request) -> Response:
        body = decode_chat(request.body)
        prompt = await self._read(body, self._prompts.chat)
        reply = ChatReply(
            self._name,
            int(self._wall_clock()),
            choices=prompt.request.choices,
            logprobs=body.alternatives is not None,
            pieces=self._model.piece,
            reader=prompt.reader,
            several_calls=body.several_calls,
        )
        return await self._generate(prompt.request, body, reply)

    async def _completions(self, request: Request) -> Response:
        body = decode_completion(request.body)
        wanted = await self._read(body, self._prompts.completion)
        reply = CompletionReply(
            self._name,
            int(self._wall_clock()),
            echoed=[self._model.text(prompt) if body.echo else "" for prompt in wanted.prompts],
            choices=wanted.choices,
            logprobs=body.alternatives is not None,
            pieces=self._model.piece,
        )
        return await self._generate(wanted, body, reply)

    async def _embeddings(self, request: Request) -> Response:
        body = decode_embedding(request.body)
        texts = await self._read(body, self._prompts.embedding)
        vectors = await self._embedder.embed(texts)
        return Response(200, [_JSON], embeddings_object(body, vectors, sum(map(len, texts))))

    async def _read(self, body: Body, understand: Callable[[Body], Understood]) -> Understood:
        """Return what a body asks for, read by the thread for that; `UnknownModel` for another model's."""
        if body.model != self._name:
            raise UnknownModel(
                f"This process serves {self._name!r}, not {body.model[:100]!r}.", param="model"
            )
        return await asyncio.get_running_loop().run_in_executor(self._reader, understand, body)

    async def _generate(self, wanted: GenerationRequest, body: GenerationBody, reply: Reply) -> Response:
        generation = self._scheduler.submit(wanted)
        try:
            if not body.stream:
                return await _whole(generation, reply)
            # The head waits for the first delta: what fails before it still has a status of its own.
            first = await anext(generation)
        except BaseException:
            generation.cancel()
            raise
        events = EventStream(generation, first, reply, include_usage=body.include_usage)
        return Response(200, [_EVENTS, (b"cache-control", b"no-cache")], events)


async def _whole(generation: Generation, reply: Reply) -> Response:
    """Wait for the whole reply."""
    async for delta in generation:
        reply.events(delta)
    return Response(200, [_JSON], reply.whole())


class EventStream:
    """A reply as SSE events; `aclose` frees the engine, also before the first event was taken."""

    def __init__(self, generation: Generation, first: Delta, reply: Reply, *, include_usage: bool) -> None:
        self._generation = generation
        self._first: Delta | None = first
        self._reply = reply
        self._include_usage = include_usage
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            events = await self._next()
            if events:
                return events
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the reply up."""
        self._ended = True
        self._generation.cancel()

    async def _next(self) -> bytes:
        if self._first is not None:
            delta, self._first = self._first, None
            return self._reply.begin() + self._events(delta)
        try:
            return self._events(await anext(self._generation))
        except ShareAIError as error:
            self._ended = True
            return error_event(error)

    def _events(self, delta: Delta) -> bytes:
        events = self._reply.events(delta)
        if not self._reply.complete:
            return events
        self._ended = True
        return events + self._reply.end(include_usage=self._include_usage)

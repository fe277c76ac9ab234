"""The child's HTTP interface: one model under `/v1/chat/completions`, for whoever holds the secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from shareai_cli.errors import (
    ContextTooLong,
    MalformedRequest,
    MethodNotAllowed,
    ShareAIError,
    UnknownModel,
    UnknownPath,
)
from shareai_cli.llama.batching.generation import Delta, GenerationRequest
from shareai_cli.llama.bindings import Model
from shareai_cli.llama.parameters import ChatBody, decode_chat
from shareai_cli.llama.replies import ChatReply, Reply
from shareai_cli.llama.scheduler import Generation, Scheduler
from shareai_cli.llama.template import ChatTemplate
from shareai_cli.types import WallClock
from shareai_cli.wire.message import Request, Response
from shareai_cli.wire.process import check_secret
from shareai_cli.wire.refusal import error_event

CHAT = "/v1/chat/completions"
HEALTH = "/health"

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
        secret: str,
        wall_clock: WallClock = time.time,
    ) -> None:
        self._name = name
        self._model = model
        self._context_size = context_size
        self._scheduler = scheduler
        self._slots = scheduler.load().slots
        self._authorization = b"Bearer " + secret.encode()
        self._wall_clock = wall_clock
        self._template = ChatTemplate(
            model.template(), begin=model.text_of(model.begin), end=model.text_of(model.end)
        )
        # Reading a long prompt's text takes a while: not on the loop, and without waiting for the engine.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="prompt")

    def __repr__(self) -> str:
        return f"<ModelServer {self._name!r} {self._scheduler!r}>"

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        check_secret(request, self._authorization)
        if request.path == CHAT:
            if request.method != "POST":
                raise MethodNotAllowed(f"{CHAT} takes POST.")
            return await self._chat(request)
        if request.path == HEALTH:
            return self._health()
        raise UnknownPath(f"Nothing is served under {request.path[:100]}.")

    def close(self) -> None:
        """End the thread that reads prompts."""
        self._reader.shutdown(cancel_futures=True)

    def _health(self) -> Response:
        load = msgspec.to_builtins(self._scheduler.load())
        state = {"model": self._name, "context": self._context_size, **load}
        return Response(200, [_JSON], msgspec.json.encode(state))

    async def _chat(self, request: Request) -> Response:
        chat = decode_chat(request.body)
        if chat.model != self._name:
            raise UnknownModel(
                f"This process serves {self._name!r}, not {chat.model[:100]!r}.", param="model"
            )
        loop = asyncio.get_running_loop()
        wanted = await loop.run_in_executor(self._reader, self._understand, chat)
        generation = self._scheduler.submit(wanted)
        reply = ChatReply(
            chat.model,
            int(self._wall_clock()),
            choices=wanted.choices,
            tools=bool(chat.offered_tools),
            logprobs=bool(chat.logprobs),
            pieces=self._model.piece,
        )
        try:
            if not chat.stream:
                return await _whole(generation, reply)
            # The head waits for the first delta: what fails before it still has a status of its own.
            first = await anext(generation)
        except BaseException:
            generation.cancel()
            raise
        events = EventStream(generation, first, reply, include_usage=chat.include_usage)
        return Response(200, [_EVENTS, (b"cache-control", b"no-cache")], events)

    def _understand(self, chat: ChatBody) -> GenerationRequest:
        """Return what to generate; `ContextTooLong` where the prompt leaves no room for a reply."""
        choices = chat.n or 1
        if choices > self._slots:
            raise MalformedRequest(
                f"The field 'n' is wrong: this model computes {self._slots} replies at a time.", param="n"
            )
        sampling = chat.sampling()
        unknown = next(
            (token for token, _ in sampling.logit_bias if token >= self._model.vocabulary_size), None
        )
        if unknown is not None:
            raise MalformedRequest(
                f"'logit_bias' has the token {unknown}; this model has {self._model.vocabulary_size}.",
                param="logit_bias",
            )
        prompt = self._model.tokenize(self._template.render(chat.messages, chat.offered_tools))
        room = self._context_size - len(prompt)
        if room < 1:
            raise ContextTooLong(
                f"The messages take {len(prompt)} tokens; this model's context holds {self._context_size}.",
                param="messages",
            )
        return GenerationRequest(
            prompt=tuple(prompt),
            limit=min(chat.limit or room, room),
            sampling=sampling,
            stops=chat.stops,
            stop_tokens=frozenset(chat.stop_token_ids or ()),
            choices=choices,
        )


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

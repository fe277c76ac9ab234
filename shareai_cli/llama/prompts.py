"""From a body to what is generated: the prompt's tokens, and the room that they leave for a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.errors import ContextTooLong, EngineFailed, MalformedRequest
from shareai_cli.llama.batching.generation import GenerationRequest
from shareai_cli.llama.batching.grammar import Grammar
from shareai_cli.llama.bindings import Model
from shareai_cli.llama.bodies.chat import ChatBody
from shareai_cli.llama.bodies.completion import CompletionBody
from shareai_cli.llama.bodies.embedding import EmbeddingBody
from shareai_cli.llama.bodies.generation import GenerationBody
from shareai_cli.llama.bodies.inputs import texts_of
from shareai_cli.llama.template import ChatTemplate
from shareai_cli.llama.tools.form import is_binding, marks_of, reader_of, reply_grammar
from shareai_cli.llama.tools.source import ReplyReader


class ChatPrompt(Struct, frozen=True):
    """What a chat asks for."""

    request: GenerationRequest
    reader: Callable[[], ReplyReader] | None
    """Makes what reads the calls and the reasoning of one reply; None where a reply is text alone."""


class PromptReader:
    """Reads bodies for one model; its methods may take a while for long texts."""

    def __init__(self, model: Model, *, context_size: int, slots: int, longest: int) -> None:
        self._model = model
        self._context_size = context_size
        self._slots = slots
        self._longest = longest
        self._shown: dict[tuple[str, ...], frozenset[int]] = {}
        self._template = ChatTemplate(
            model.template(), begin=model.text_of(model.begin), end=model.text_of(model.end)
        )

    def chat(self, body: ChatBody) -> ChatPrompt:
        """Return what a chat asks for; `ContextTooLong` where the messages leave no room for a reply."""
        family = self._template.family
        prompt = self._template.render(body.messages, body.offered_tools, body.reasoning_effort)
        thinking = family.thinking
        opened = thinking is not None and prompt.rstrip().endswith(thinking.begin)
        request = self._request(body, [self.tokens(prompt, "messages")], body.limit, "messages")
        shown = self._tokens_in(marks_of(family, body))
        grammar = reply_grammar(family, body, opened)
        if grammar and not self._takes(grammar):
            if is_binding(body):
                raise MalformedRequest(
                    "llama.cpp cannot keep to the schemas of this request: they may be parts of themselves."
                )
            grammar = ""
        request = replace(request, grammar=grammar, shown=shown)
        return ChatPrompt(request, reader_of(family, body, opened))

    def completion(self, body: CompletionBody) -> GenerationRequest:
        """Return what a completion asks for; `ContextTooLong` where a prompt leaves no room for a reply."""
        prompts = [self.tokens(text, "prompt") for text in texts_of(body.prompt, "prompt")]
        return self._request(body, prompts, body.limit, "prompt")

    def embedding(self, body: EmbeddingBody) -> list[list[int]]:
        """Return the tokens of each text to embed; `ContextTooLong` for one that is too long."""
        if body.dimensions is not None and body.dimensions > self._model.width:
            raise MalformedRequest(
                f"The field 'dimensions' is wrong: this model's embeddings have {self._model.width}.",
                param="dimensions",
            )
        texts = [self.tokens(text, "input") for text in texts_of(body.input, "input")]
        longest = max(map(len, texts))
        if longest > self._longest:
            raise ContextTooLong(
                f"A text of 'input' has {longest} tokens; this model takes {self._longest}.", param="input"
            )
        return texts

    def tokens(self, text: str | list[int], field: str) -> list[int]:
        """Return a text's tokens, never none; `MalformedRequest` for numbers that are no tokens."""
        if isinstance(text, str):
            # Nothing can be computed of no tokens at all.
            return self._model.tokenize(text) or [max(0, self._model.begin)]
        self._check_known(text, field)
        return text

    def _request(
        self, body: GenerationBody, prompts: Sequence[Sequence[int]], limit: int | None, field: str
    ) -> GenerationRequest:
        if not self._model.generates:
            raise MalformedRequest("This model makes embeddings only.", param="model")
        choices = body.n or 1
        if choices * len(prompts) > self._slots:
            raise MalformedRequest(
                f"This model computes {self._slots} replies at a time, and the request wants "
                f"{choices * len(prompts)}.",
                param="n" if len(prompts) == 1 else field,
            )
        sampling = body.sampling()
        self._check_known([token for token, _ in sampling.logit_bias], "logit_bias")
        longest = max(map(len, prompts))
        room = self._context_size - longest
        if room < 1:
            raise ContextTooLong(
                f"The {longest} tokens of '{field}' leave no room for a reply: this model's context holds "
                f"{self._context_size}.",
                param=field,
            )
        return GenerationRequest(
            prompts=tuple(map(tuple, prompts)),
            limit=min(limit or room, room),
            sampling=sampling,
            stops=body.stops,
            stop_tokens=frozenset(body.stop_token_ids or ()),
            choices=choices,
        )

    def _check_known(self, tokens: Sequence[int], field: str) -> None:
        unknown = next((token for token in tokens if token >= self._model.vocabulary_size), None)
        if unknown is not None:
            raise MalformedRequest(
                f"'{field}' has the token {unknown}; this model knows {self._model.vocabulary_size}.",
                param=field,
            )

    def _tokens_in(self, marks: tuple[str, ...]) -> frozenset[int]:
        """Return the control tokens that are marks, or parts of them; they are looked for once."""
        if not marks:
            return frozenset()
        if marks not in self._shown:
            texts = ((token, self._model.text_of(token)) for token in self._model.silent)
            found = (token for token, text in texts if any(text in mark for mark in marks))
            self._shown[marks] = frozenset(found)
        return self._shown[marks]

    def _takes(self, grammar: str) -> bool:
        """Tell whether llama.cpp takes a grammar; a client's schema is in it."""
        try:
            Grammar(self._model, grammar).close()
        except EngineFailed:
            return False
        return True

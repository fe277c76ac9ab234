"""The body of `POST /v1/chat/completions`, checked field by field.

Whatever a client may set is bounded here, so that nothing of a client's reaches a call of llama.cpp that
cannot bear it. Unknown fields are ignored, as OpenAI's clients send more of them every month.
Reference: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.batching.sampling import Sampling

_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Bias = Annotated[float, Meta(ge=-100, le=100)]
_Token = Annotated[int, Meta(ge=0, le=0x7FFFFFFF)]
_Stop = Annotated[str, Meta(min_length=1, max_length=1000)]


class Part(Struct, frozen=True):
    """One part of a message's content; local models read text only."""

    type: str
    text: str | None = None


class FunctionCall(Struct, frozen=True):
    """The function that a call names, its arguments as a JSON text."""

    name: str
    arguments: str = "{}"


class ToolCall(Struct, frozen=True):
    """A call that the assistant made earlier in the conversation."""

    function: FunctionCall
    id: str = ""
    type: str = "function"


class Message(Struct, frozen=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class FunctionDefinition(Struct, frozen=True, omit_defaults=True):
    """A function that the model may call, its parameters as a JSON schema."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Struct, frozen=True):
    """A tool that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class StreamOptions(Struct, frozen=True):
    """What a stream holds beside its content."""

    include_usage: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """The form that the reply has to have."""

    type: str


class ChatBody(Struct, frozen=True):
    """The fields that this server knows; `Meta` carries the bounds."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Meta(ge=0.01, le=100)] | None = None
    repetition_penalty: Annotated[float, Meta(ge=0.01, le=100)] | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    seed: int | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16)] | None = None
    stop_token_ids: Annotated[list[_Token], Meta(max_length=64)] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: Annotated[dict[str, _Bias], Meta(max_length=1024)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Meta(max_length=256)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream's last chunk carries the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def limit(self) -> int | None:
        """The most tokens that the client wants; `max_completion_tokens` replaced `max_tokens`."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings before which the reply ends."""
        if isinstance(self.stop, str):
            return (self.stop,)
        return tuple(self.stop or ())

    @property
    def offered_tools(self) -> list[Tool]:
        """The tools that the model gets to see."""
        return [] if self.tool_choice == "none" else list(self.tools or ())

    def sampling(self) -> Sampling:
        """Return how to draw tokens: llama.cpp's defaults and a random seed where the client says nothing."""
        default = Sampling()
        seed = secrets.randbits(32) if self.seed is None else self.seed & 0xFFFFFFFF
        return Sampling(
            temperature=_or(self.temperature, default.temperature),
            top_p=_or(self.top_p, default.top_p),
            top_k=self.top_k if self.top_k is not None else default.top_k,
            min_p=_or(self.min_p, default.min_p),
            typical_p=_or(self.typical_p, default.typical_p),
            repeat_penalty=_or(self.repeat_penalty or self.repetition_penalty, default.repeat_penalty),
            frequency_penalty=_or(self.frequency_penalty, 0.0),
            presence_penalty=_or(self.presence_penalty, 0.0),
            logit_bias=self._biases(),
            seed=seed,
            alternatives=(self.top_logprobs or 0) if self.logprobs else None,
        )

    def _biases(self) -> tuple[tuple[int, float], ...]:
        """Return the biases by the number of their token; `MalformedRequest` where a key is no number."""
        biases = self.logit_bias or {}
        wrong = next((key for key in biases if not _number.match(key)), None)
        if wrong is not None:
            raise MalformedRequest(
                f"'logit_bias' has the key {wrong[:40]!r}, which is not the number of a token.",
                param="logit_bias",
            )
        return tuple((int(key), value) for key, value in biases.items())


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


_number = re.compile(r"\d{1,9}\Z", re.ASCII)
_decoder = msgspec.json.Decoder(ChatBody)
_place = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_missing = re.compile(r"missing required field `(\w+)`")


def decode_chat(body: bytes) -> ChatBody:
    """Decode a body; `MalformedRequest` names the field that is wrong or not supported yet."""
    try:
        chat = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"The body is not JSON: {str(error).rstrip('.')}.") from None
    except RecursionError:
        raise MalformedRequest("The JSON is nested too deeply.") from None
    _refuse_unsupported(chat)
    return chat


def _explain(text: str) -> MalformedRequest:
    """Turn msgspec's message into one that names the field as OpenAI does (`messages[0].role`)."""
    match = _place.match(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    missing = _missing.search(what)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return MalformedRequest(f"The field '{path}' is missing.", param=path)
    if not path:
        return MalformedRequest(f"The body is not a chat completion's: {what}.")
    what = what[:1].lower() + what[1:]
    return MalformedRequest(f"The field '{path}' is wrong: {what}.", param=path)


def _refuse_unsupported(chat: ChatBody) -> None:
    """Refuse what would be ignored in silence, to the client's surprise."""
    if chat.top_logprobs is not None and not chat.logprobs:
        raise MalformedRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    if chat.response_format is not None and chat.response_format.type != "text":
        raise _unsupported("response_format", "other than text is")
    if chat.tool_choice not in (None, "auto", "none"):
        raise _unsupported("tool_choice", "other than auto and none is")
    if chat.functions:
        raise _unsupported("functions")
    if chat.modalities and chat.modalities != ["text"]:
        raise _unsupported("modalities", "other than text are")
    for index, message in enumerate(chat.messages):
        if isinstance(message.content, list):
            for part, item in enumerate(message.content):
                if item.type not in ("text", "refusal"):
                    raise _unsupported(f"messages[{index}].content[{part}]", f"of type {item.type[:40]!r} is")


def _unsupported(field: str, what: str = "is") -> MalformedRequest:
    return MalformedRequest(f"'{field}' {what} not supported by local models yet.", param=field)

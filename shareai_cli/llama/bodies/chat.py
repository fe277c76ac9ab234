"""The body of `POST /v1/chat/completions`, checked field by field.

Reference: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.bodies.generation import GenerationBody, decode, unsupported


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
    reasoning_content: str | None = None


class FunctionDefinition(Struct, frozen=True, omit_defaults=True):
    """A function that the model may call, its parameters as a JSON schema."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/-]{1,256}\Z")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    """Whether a call that has to come keeps to all of the schema, or as well as can be."""


class Tool(Struct, frozen=True):
    """A tool that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(Struct, frozen=True):
    """Which function has to be called."""

    name: str


class NamedChoice(Struct, frozen=True):
    """One function that has to be called."""

    type: Literal["function"]
    function: FunctionName


class NamedSchema(Struct, frozen=True):
    """The schema of a reply; it is kept to, `strict` or not."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """The form that the reply has to have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class ChatBody(GenerationBody, frozen=True, kw_only=True):
    """The fields that this server knows."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Meta(max_length=256)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Annotated[str, Meta(max_length=16)] | None = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None

    @property
    def alternatives(self) -> int | None:
        """How many of the likeliest tokens are told with each drawn one; None for none of it."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def limit(self) -> int | None:
        """The most tokens that the client wants; `max_completion_tokens` replaced `max_tokens`."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def offered_tools(self) -> list[Tool]:
        """The tools that the model gets to see."""
        return [] if self.tool_choice == "none" else list(self.tools or ())

    @property
    def demanded_tools(self) -> list[Tool]:
        """The tools of which one has to be called; none where that is the model's to decide."""
        if isinstance(self.tool_choice, NamedChoice):
            name = self.tool_choice.function.name
            return [tool for tool in self.tools or () if tool.function.name == name]
        return list(self.tools or ()) if self.tool_choice == "required" else []

    @property
    def several_calls(self) -> bool:
        """Whether a reply may call more than one function; one that is named is called once."""
        return self.parallel_tool_calls is not False and not isinstance(self.tool_choice, NamedChoice)


_decoder = msgspec.json.Decoder(ChatBody)


def decode_chat(body: bytes) -> ChatBody:
    """Decode a body; `MalformedRequest` names the field that is wrong or not supported yet."""
    chat = decode(body, _decoder, "a chat completion's")
    _refuse_unsupported(chat)
    return chat


def _refuse_unsupported(chat: ChatBody) -> None:
    """Refuse what would be ignored in silence, to the client's surprise."""
    if chat.top_logprobs is not None and not chat.logprobs:
        raise MalformedRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    wanted = chat.response_format
    if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is None:
        raise MalformedRequest(
            "The field 'response_format.json_schema' is missing.", param="response_format.json_schema"
        )
    if chat.tool_choice not in (None, "auto", "none") and not chat.demanded_tools:
        raise MalformedRequest(
            "'tool_choice' wants a function to be called that 'tools' does not have.", param="tool_choice"
        )
    if chat.functions:
        raise unsupported("functions")
    if chat.modalities and chat.modalities != ["text"]:
        raise unsupported("modalities", "other than text are")
    for index, message in enumerate(chat.messages):
        if isinstance(message.content, list):
            for part, item in enumerate(message.content):
                if item.type not in ("text", "refusal"):
                    raise unsupported(f"messages[{index}].content[{part}]", f"of type {item.type[:40]!r} is")

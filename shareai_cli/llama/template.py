"""A model's chat template: from messages to the prompt, as Hugging Face's `apply_chat_template` does it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shareai_cli.errors import MalformedRequest, ModelUnavailable
from shareai_cli.llama.bodies.chat import Message, Tool, ToolCall
from shareai_cli.llama.tools.catalogue import family_of, writes_otherwise
from shareai_cli.llama.tools.instructions import Plain, in_words

CHATML = """\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""The template of a file that has none, llama.cpp's own choice too."""


class ChatTemplate:
    """A compiled template; sandboxed, as it comes with a file that somebody else made."""

    def __init__(self, source: str | None, *, begin: str, end: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        source = source or CHATML
        try:
            self._template = environment.from_string(source)
            variables = jinja2.meta.find_undeclared_variables(environment.parse(source))
        except jinja2.TemplateError as error:
            raise ModelUnavailable(f"The model's chat template is broken: {error}.") from None
        self._takes_tools = "tools" in variables and not writes_otherwise(source)
        self._knows_developers = "developer" in source
        self.family = family_of(source)
        """How the model writes calls and marks what it thinks."""
        self._begin = begin
        self._end = end

    def render(self, messages: Sequence[Message], tools: Sequence[Tool], effort: str | None = None) -> str:
        """Return the prompt; `MalformedRequest` where the template does not take these messages.

        `effort` is how much to think, none for not at all, where the template knows such a thing.
        """
        told = [_plain(message, short_ids=self.family.short_ids) for message in messages]
        if not self._knows_developers:
            told = [{**one, "role": "system"} if one["role"] == "developer" else one for one in told]
        offered = [_plain_tool(tool) for tool in tools]
        if not self._takes_tools:
            told, offered = in_words(told, offered), []
        try:
            return self._rendered(told, offered, effort)
        except Exception as error:
            # A template is a program of somebody else's: whatever it raises is about these messages. Some
            # take the arguments of calls as the text that they come as, and some know no system.
            for other in _told_otherwise(told):
                with contextlib.suppress(Exception):
                    return self._rendered(other, offered, effort)
            raise MalformedRequest(
                f"The model's chat template does not take these messages: {error}.", param="messages"
            ) from None

    def _rendered(self, messages: Sequence[Plain], tools: Sequence[Plain], effort: str | None) -> str:
        thinking = {"reasoning_effort": effort, "enable_thinking": effort != "none"} if effort else {}
        return self._template.render(
            messages=messages,
            tools=tools or None,
            bos_token=self._begin,
            eos_token=self._end,
            add_generation_prompt=True,
            raise_exception=_refuse,
            strftime_now=_now,
            **thinking,
        )


class _GenerationTag(jinja2.ext.Extension):
    """Let `{% generation %}` pass, which marks text for training."""

    tags = {"generation"}  # noqa: RUF012 - the extension's interface

    def parse(self, parser: Any) -> Any:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _plain(message: Message, *, short_ids: bool) -> Plain:
    """Return a message as templates expect it: text content, and a call's arguments as an object."""
    plain: Plain = {"role": message.role, "content": text_of(message)}
    if message.name is not None:
        plain["name"] = message.name
    if message.reasoning_content is not None:
        plain["reasoning_content"] = message.reasoning_content
    if message.tool_call_id is not None:
        plain["tool_call_id"] = _id(message.tool_call_id, short_ids)
    if message.tool_calls:
        plain["tool_calls"] = [_plain_call(call, short_ids) for call in message.tool_calls]
    return plain


def _plain_call(call: ToolCall, short_ids: bool) -> Plain:
    try:
        arguments: Any = msgspec.json.decode(call.function.arguments)
    except (msgspec.DecodeError, RecursionError):
        arguments = call.function.arguments
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": _id(call.id, short_ids), "type": "function", "function": function}


def _id(told: str, short: bool) -> str:
    """Return a call's id, or one of nine letters and digits that always stands for it."""
    if not short or _short.match(told):
        return told
    return hashlib.sha256(told.encode()).hexdigest()[:9]


_short = re.compile(r"[A-Za-z0-9]{9}\Z")


def _plain_tool(tool: Tool) -> Plain:
    function = msgspec.to_builtins(tool.function)
    function.pop("strict", None)
    return {"type": "function", "function": function}


def _told_otherwise(messages: Sequence[Plain]) -> Iterator[Sequence[Plain]]:
    """Yield other ways to tell the same."""
    texts = [_with_text_arguments(message) for message in messages]
    yield texts
    first, *rest = texts
    if first["role"] == "system" and rest and rest[0]["role"] == "user":
        yield [{**rest[0], "content": f"{first['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def _with_text_arguments(message: Plain) -> Plain:
    if "tool_calls" not in message:
        return message
    calls = [{**call, "function": _with_text(call["function"])} for call in message["tool_calls"]]
    return {**message, "tool_calls": calls}


def _with_text(function: Plain) -> Plain:
    arguments = function["arguments"]
    return {**function, "arguments": arguments if isinstance(arguments, str) else _to_json(arguments)}


def text_of(message: Message) -> str:
    """Return a message's content as one text; parts are joined by line ends."""
    if isinstance(message.content, list):
        return "\n".join(part.text or "" for part in message.content)
    return message.content or ""


def _to_json(value: Any, indent: int | None = None, **_options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)

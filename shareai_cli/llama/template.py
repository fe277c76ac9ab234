"""A model's chat template: from messages to the prompt, as Hugging Face's `apply_chat_template` does it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shareai_cli.errors import MalformedRequest, ModelUnavailable
from shareai_cli.llama.bodies.chat import Message, Tool, ToolCall

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
        try:
            self._template = environment.from_string(source or CHATML)
        except jinja2.TemplateError as error:
            raise ModelUnavailable(f"The model's chat template is broken: {error}.") from None
        self._begin = begin
        self._end = end

    def render(self, messages: Sequence[Message], tools: Sequence[Tool]) -> str:
        """Return the prompt; `MalformedRequest` where the template does not take these messages."""
        try:
            return self._template.render(
                messages=[_plain(message) for message in messages],
                tools=msgspec.to_builtins(tools) if tools else None,
                bos_token=self._begin,
                eos_token=self._end,
                add_generation_prompt=True,
                raise_exception=_refuse,
                strftime_now=_now,
            )
        except Exception as error:
            # A template is a program of somebody else's: whatever it raises is about these messages.
            raise MalformedRequest(
                f"The model's chat template does not take these messages: {error}.", param="messages"
            ) from None


class _GenerationTag(jinja2.ext.Extension):
    """Let `{% generation %}` pass, which marks text for training."""

    tags = {"generation"}  # noqa: RUF012 - the extension's interface

    def parse(self, parser: Any) -> Any:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _plain(message: Message) -> dict[str, Any]:
    """Return a message as templates expect it: text content, and a call's arguments as an object."""
    plain: dict[str, Any] = {"role": message.role, "content": text_of(message)}
    if message.name is not None:
        plain["name"] = message.name
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        plain["tool_calls"] = [_plain_call(call) for call in message.tool_calls]
    return plain


def _plain_call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments: Any = msgspec.json.decode(call.function.arguments)
    except (msgspec.DecodeError, RecursionError):
        arguments = call.function.arguments
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


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

"""Tools told in words, for a model whose chat template knows of none; it answers in Hermes' form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shareai_cli.llama.tools.hermes import CLOSE, OPEN

_TOLD = f"""\
You may call these functions to answer, each described by a JSON schema:
{{tools}}
To call one, write nothing but its name and its arguments, in this form:
{OPEN}
{{{{"name": "the function's name", "arguments": {{{{"an argument": "its value"}}}}}}}}
{CLOSE}"""

Plain = dict[str, Any]
"""A message, or a tool, as templates take it."""


def in_words(messages: Sequence[Plain], tools: Sequence[Plain]) -> list[Plain]:
    """Return messages that say what the tools are and what was called, by text alone."""
    told: list[Plain] = []
    for message in messages:
        words = _in_words(message)
        if message["role"] == "tool" and told and told[-1]["role"] == "user":
            # Results that follow each other are one message: many templates want the roles to alternate.
            told[-1] = {**told[-1], "content": f"{told[-1]['content']}\n{words['content']}"}
        else:
            told.append(words)
    if not tools:
        return told
    described = "\n".join(msgspec.json.encode(tool["function"]).decode() for tool in tools)
    offer = _TOLD.format(tools=described)
    if told and told[0]["role"] in ("system", "developer"):
        first = {**told[0], "content": f"{told[0]['content']}\n\n{offer}"}
        return [first, *told[1:]]
    return [{"role": "system", "content": offer}, *told]


def _in_words(message: Plain) -> Plain:
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>"}
    calls = message.get("tool_calls")
    if not calls:
        return message
    written = [f"{OPEN}\n{msgspec.json.encode(_call(call)).decode()}\n{CLOSE}" for call in calls]
    text = "\n".join([message["content"], *written] if message["content"] else written)
    return {"role": message["role"], "content": text}


def _call(call: Plain) -> Plain:
    return {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}

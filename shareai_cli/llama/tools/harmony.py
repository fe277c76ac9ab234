"""gpt-oss: messages on channels; analysis is what the model thinks, commentary to a function is a call.

Reference: https://github.com/openai/openai-cookbook/blob/main/articles/openai-harmony.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import Rules
from shareai_cli.llama.tools.family import Family, Thinking, Wanted, ways
from shareai_cli.llama.tools.pieces import Arguments, CallBegins, Content, Reasoning
from shareai_cli.llama.tools.source import Reading, Source

CHANNEL, MESSAGE = "<|channel|>", "<|message|>"
START, END, CALL, RETURN = "<|start|>", "<|end|>", "<|call|>", "<|return|>"
CONSTRAIN = "<|constrain|>"
ENDS = (END, CALL, RETURN, START)

_recipient = re.compile(r"to=(?:functions\.)?([^\s<]+)")


def read(source: Source, _tools: Sequence[Tool]) -> Reading[None]:
    """Read the messages of a reply, each by its channel and whom it is for."""
    while True:
        head, mark = yield from source.take(MESSAGE)
        if not mark:
            if CHANNEL not in head and head.strip():
                yield Content(head)
            return
        recipient = _recipient.search(head)
        if recipient is not None:
            yield CallBegins(recipient[1])
            yield from source.pour(Arguments, *ENDS)
        else:
            yield from source.pour(Reasoning if "analysis" in head else Content, *ENDS)


def calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of the one call that such a reply ends with."""
    return ways(rules, wanted, _head)


def _head(name: str) -> str:
    return f"{CHANNEL}commentary to=functions.{name} {CONSTRAIN}json{MESSAGE}"


HARMONY = Family(
    read,
    calls,
    marks=(CHANNEL, MESSAGE, CONSTRAIN, *ENDS),
    thinking=Thinking(f"{CHANNEL}analysis{MESSAGE}", END, f"{START}assistant"),
    answer=f"{CHANNEL}final{MESSAGE}",
)

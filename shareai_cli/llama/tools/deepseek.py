"""DeepSeek: calls between marks, V3's and R1's with their JSON in a fence, V3.1's bare.

Reference: https://huggingface.co/deepseek-ai/DeepSeek-V3.1 (toolcall)
"""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import Rules, quoted
from shareai_cli.llama.tools.family import Family, Wanted, repeated, ways
from shareai_cli.llama.tools.pieces import CallBegins, Content
from shareai_cli.llama.tools.source import Reading, Source

ALL_BEGIN, ALL_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"  # noqa: RUF001 - the model's own marks
BEGIN, BETWEEN, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"  # noqa: RUF001
FENCE = "```"
FENCED = f"\n{FENCE}json\n"


def read(source: Source, _tools: Sequence[Tool]) -> Reading[None]:
    """Read text and calls of either form."""
    while (yield from source.pour(Content, ALL_BEGIN, BEGIN)):
        yield from source.met(BEGIN)
        while (yield from _call(source)):
            yield from source.met(FENCE)
            yield from source.met(END)
            if not (yield from source.met(BEGIN)):
                break
        yield from source.met(ALL_END)
        yield from source.skip_blank()


def _call(source: Source) -> Reading[bool]:
    """Read a call from its name on; return whether it is one, else what there was is text."""
    head, mark = yield from source.take(BETWEEN, END)
    if mark == BETWEEN and (yield from source.next_character()) != "{":
        # What came was its type: the name has a line of its own, and the arguments a fence.
        line, _ = yield from source.take("\n", END)
        head, mark = line, (yield from source.met(f"{FENCE}json", FENCE))
    if not mark or mark == END or (yield from source.next_character()) != "{":
        if head.strip():
            yield Content(head)
        return False
    yield CallBegins(head.strip())
    yield from source.pour_json()
    return True


def fenced_calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of V3's and R1's calls."""
    call = ways(rules, wanted, lambda name: f"{BEGIN}function{BETWEEN}{name}{FENCED}", f"\n{FENCE}{END}")
    return f"{repeated(call, quoted(chr(10)), wanted.several)} {quoted(ALL_END)}"


def bare_calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of V3.1's calls."""
    call = ways(rules, wanted, lambda name: f"{BEGIN}{name}{BETWEEN}", END)
    return f"{repeated(call, '', wanted.several)} {quoted(ALL_END)}"


_MARKS = (ALL_BEGIN, ALL_END, BEGIN, BETWEEN, END)

DEEPSEEK_V3 = Family(read, fenced_calls, ALL_BEGIN, marks=_MARKS)
DEEPSEEK_V31 = Family(read, bare_calls, ALL_BEGIN, marks=_MARKS)

"""The form that a chat's reply takes: what it has to keep to, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from shareai_cli.llama.bodies.chat import ChatBody, ResponseFormat
from shareai_cli.llama.bodies.generation import unsupported
from shareai_cli.llama.gbnf import JSON, Rules, quoted
from shareai_cli.llama.schema_grammar import schema_expression
from shareai_cli.llama.tools.family import Family, Thinking, thoughtful
from shareai_cli.llama.tools.pieces import Content
from shareai_cli.llama.tools.source import Reading, ReplyReader, Source


def reply_grammar(family: Family, body: ChatBody, opened: bool) -> str:
    """Return the grammar of a reply, "" for one that is free.

    What the model thinks before is free, too; the prompt may have `opened` it.
    """
    answers_in_form = body.response_format is not None and body.response_format.type != "text"
    demanded = body.demanded_tools
    if not demanded and not answers_in_form:
        return ""
    tools = demanded or body.offered_tools
    if tools and not demanded and family.dialect is not JSON:
        raise unsupported("response_format", "together with tools is, with this model,")
    rules = Rules(family.dialect if tools else JSON)
    ways = [family.calls(rules, tools, body.several_calls)] if tools else []
    if not demanded and body.response_format is not None:
        ways.append(f"{quoted(family.answer)} {_form(rules, body.response_format)}")
    return rules.written(f"{_thought(rules, family.thinking, opened)} {rules.one_of(*ways)}")


def _form(rules: Rules, wanted: ResponseFormat) -> str:
    if wanted.json_schema is None or not wanted.json_schema.schema:
        return "object"
    return schema_expression(rules, wanted.json_schema.schema)


def _thought(rules: Rules, thinking: Thinking | None, opened: bool) -> str:
    """Return the expression of what may come before an answer, or has to."""
    if thinking is None:
        return ""
    thought = f"{rules.until(thinking.end)} {quoted(thinking.between)} [ \\n]{{0,4}}"
    return thought if opened else f"({quoted(thinking.begin)} {thought})?"


def marks_of(family: Family, body: ChatBody) -> tuple[str, ...]:
    """Return the marks that the reader of a reply has to see."""
    thinking = (family.thinking.begin, family.thinking.end) if family.thinking is not None else ()
    return (*family.marks, *thinking) if _is_marked(family, body) else thinking


def reader_of(family: Family, body: ChatBody, opened: bool) -> Callable[[], ReplyReader] | None:
    """Return what makes the readers of a request's replies, None where they are text alone."""
    tools = body.offered_tools
    thinking = family.thinking
    is_marked = _is_marked(family, body)
    if not is_marked and thinking is None:
        return None

    def read(source: Source) -> Reading[None]:
        rest = family.read(source, tools) if is_marked else _text(source)
        # Where answers are marked, too, the family's own reader knows of both.
        return rest if thinking is None or family.answer else thoughtful(thinking, opened, source, rest)

    return partial(ReplyReader, read)


def _is_marked(family: Family, body: ChatBody) -> bool:
    return bool(body.offered_tools or family.answer)


def _text(source: Source) -> Reading[None]:
    yield from source.pour(Content)

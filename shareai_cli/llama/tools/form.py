"""The form that a chat's reply takes: what it has to keep to, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from shareai_cli.llama.bodies.chat import ChatBody, ResponseFormat
from shareai_cli.llama.bodies.generation import unsupported
from shareai_cli.llama.gbnf import JSON, Rules, quoted
from shareai_cli.llama.schema_grammar import schema_expression
from shareai_cli.llama.tools.family import Family, Thinking, Wanted, thoughtful
from shareai_cli.llama.tools.pieces import Content
from shareai_cli.llama.tools.source import Reading, ReplyReader, Source


def reply_grammar(family: Family, body: ChatBody, opened: bool) -> str:
    """Return the grammar of a reply, "" for one that is free.

    What the model thinks before is free, too; the prompt may have `opened` it.
    """
    demanded = body.demanded_tools
    wanted = Wanted(demanded or body.offered_tools, body.several_calls, demanded=bool(demanded))
    if demanded:
        return _demanded_call(family, wanted, opened)
    if body.response_format is not None and body.response_format.type != "text":
        return _answer_in_form(family, wanted, body.response_format, opened)
    return _free_answer(family, wanted, opened) if wanted.tools and family.opening else ""


def is_binding(body: ChatBody) -> bool:
    """Whether the client relies on a reply's grammar; else it helps the model to write its calls well."""
    has_form = body.response_format is not None and body.response_format.type != "text"
    return has_form or bool(body.demanded_tools)


def _demanded_call(family: Family, wanted: Wanted, opened: bool) -> str:
    rules = Rules(family.dialect)
    return rules.written(f"{_thought(rules, family.thinking, opened)} {_calls(rules, family, wanted)}")


def _answer_in_form(family: Family, wanted: Wanted, form: ResponseFormat, opened: bool) -> str:
    """Return the grammar of an answer, or of a call where there are tools: that is the model's choice."""
    if wanted.tools and family.dialect is not JSON:
        raise unsupported("response_format", "together with tools is, with this model,")
    rules = Rules()
    answer = f"{quoted(family.answer)} {_form(rules, form)}"
    ways = rules.one_of(answer, _calls(rules, family, wanted)) if wanted.tools else answer
    return rules.written(f"{_thought(rules, family.thinking, opened)} {ways}")


def _free_answer(family: Family, wanted: Wanted, opened: bool) -> str:
    """Return the grammar of any text, which goes on as a call where the mark of calls comes in it."""
    rules = Rules(family.dialect)
    then = rules.add(family.calls(rules, wanted))
    text = rules.until(family.opening, then, may_end=True)
    if family.thinking is None:
        return rules.written(text)
    thinking = family.thinking
    thought = rules.until(thinking.end, text, may_end=True)
    return rules.written(thought if opened else f"{text} | {quoted(thinking.begin)} {thought}")


def _calls(rules: Rules, family: Family, wanted: Wanted) -> str:
    return f"{quoted(family.opening)} {family.calls(rules, wanted)}"


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

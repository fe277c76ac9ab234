"""One model's answer while it comes: its name, its text, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from shareai_cli.dashboard.talking import Reply
from shareai_cli.dashboard.words import duration, money, plain, plain_lines

MOST_DRAWN = 20_000
"""Characters of a text, the end of it: what is longer is for another program."""


class AnswerColumn(Vertical):
    """Follows its text as it grows, unless the person has scrolled."""

    DEFAULT_CSS = """
    AnswerColumn { width: 1fr; border-right: solid $panel; }
    AnswerColumn .model { height: 1; text-style: bold; padding: 0 1; text-wrap: nowrap;
        text-overflow: ellipsis; }
    AnswerColumn VerticalScroll { height: 1fr; padding: 0 1; }
    AnswerColumn .text { height: auto; }
    AnswerColumn .facts { height: 5; max-height: 50%; padding: 0 1; background: $panel; }
    """

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._shown: Reply | None = None

    def compose(self) -> ComposeResult:
        """Make the three parts."""
        yield Static(Text(plain(self._model), no_wrap=True), classes="model")
        with VerticalScroll():
            yield Static(classes="text")
        yield Static(classes="facts")

    def show(self, reply: Reply) -> None:
        """Show an answer as it stands."""
        before, self._shown = self._shown, reply
        if before is None or before.text != reply.text or before.error != reply.error:
            scroll = self.query_one(VerticalScroll)
            is_at_end = scroll.scroll_offset.y >= scroll.max_scroll_y
            self.query_one(".text", Static).update(Text(_body(reply)))
            if is_at_end:
                scroll.scroll_end(animate=False)
        self.query_one(".facts", Static).update(Text("\n".join(facts(reply))))


def facts(reply: Reply) -> Iterator[str]:
    """Yield the lines below a text."""
    yield _standing(reply)
    if reply.target:
        yield plain(reply.target)
    yield f"first {duration(reply.first_us)}, all {duration(reply.elapsed_us)}"
    if reply.prompt_tokens is not None:
        yield f"{reply.prompt_tokens} + {reply.completion_tokens} tokens"
    if reply.is_cost_known:
        yield _cost(reply)


def _standing(reply: Reply) -> str:
    if reply.error:
        return "✕ failed"
    if reply.is_stopped:
        return "■ stopped"
    if reply.has_ended:
        return f"! {reply.ending}" if reply.ending else "✓ complete"
    return "… thinks" if reply.is_thinking else "… answers" if reply.text else "… waits"


def _cost(reply: Reply) -> str:
    if reply.cost_nano is None:
        return "cost unknown"
    if not reply.cost_nano:
        return "free"
    return (
        f"~{money(reply.cost_nano)} (estimate)" if reply.is_estimate else f"{money(reply.cost_nano)} (exact)"
    )


def _body(reply: Reply) -> str:
    text = reply.text[-MOST_DRAWN:]
    if not reply.error:
        return plain_lines(text)
    return plain_lines(f"{text}\n\n{reply.error}" if text else reply.error)

"""Playground: browse the models, and have up to three of them answer one prompt side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import DataTable, Input, Static
from textual.worker import Worker

from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.talking import Voice
from shareai_cli.dashboard.widgets.answer_column import AnswerColumn
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import count, plain, price, state_words
from shareai_cli.errors import GatewayUnreachable, ShareAIError, UsageError
from shareai_cli.types import ModelInfo

MOST_ASKED = 3
MOST_SHOWN = 300
DRAWN_EVERY = 0.15
"""Seconds between two looks at answers that are under way."""


class PlaygroundScreen(DashboardScreen):
    """The models, or the answers; the prompt below them."""

    NAME = "Playground"
    LETTER = "p"
    ABOUT = "Models with price, context and abilities; one prompt to up to three of them."
    DEFAULT_CSS = """
    PlaygroundScreen Input { margin: 0 1; }
    PlaygroundScreen .hidden { display: none; }
    PlaygroundScreen #told { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Pick"),
        Binding("i", "prompt", "Ask"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("m", "turn", "Models"),
        Binding("x", "stop", "Stop"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[str, ModelInfo] = {}
        self._chosen: list[str] = []
        self._notices: Sequence[str] = ()
        """Which lists are not the providers' own."""
        self._wanted = ""
        self._voices: Sequence[Voice] = ()
        self._worker: Worker[None] | None = None
        self._loading: Worker[None] | None = None
        self._loaded: tuple[Connection, int] | None = None
        """As of which state of the connection the models are."""
        self._problem = ""
        self._is_new = False
        """Whether there is something that was not drawn."""
        self._is_gone = False

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        yield Input(
            placeholder="words: openai tools vision free", id="filter", compact=True, classes="hidden"
        )
        yield Rows("ASK", "MODEL", "CONTEXT", "$/M", "STATE", "CAN", id="models")
        yield Horizontal(id="answers", classes="hidden")
        yield Static(id="told")
        yield Input(placeholder="A prompt; Enter asks", id="prompt", compact=True)

    def on_mount(self) -> None:
        """Look at answers while there are any under way."""
        self.set_interval(DRAWN_EVERY, self._draw_news)

    def on_unmount(self) -> None:
        """Draw nothing any more: answers may still be under way."""
        self._is_gone = True

    def on_screen_resume(self) -> None:
        """Look again at what can be asked."""
        self._loaded = None

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        link = self.dashboard.link
        if self._loaded != (link.connection, link.since_ms):
            self._loaded = (link.connection, link.since_ms)
            self._loading = self.run_worker(self._load, group="load", exclusive=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the keys that do something now."""
        if action == "stop":
            return self._worker is not None
        if action == "choose":
            return not self.query("#models.hidden")
        return action != "turn" or bool(self._voices)

    def action_choose(self) -> None:
        """Choose what the cursor is on, or leave it out."""
        key = self.query_one("#models", Rows).current_key
        if key in self._chosen:
            self._chosen.remove(key)
        elif key is not None and len(self._chosen) >= MOST_ASKED:
            self.notify(f"At most {MOST_ASKED} are asked side by side.", markup=False)
        elif key is not None:
            self._chosen.append(key)
        self._draw()

    def action_prompt(self) -> None:
        """Write the prompt."""
        self.query_one("#prompt", Input).focus()

    def action_filter(self) -> None:
        """Ask for what is wanted of the models."""
        self._show_answers(False)
        box = self.query_one("#filter", Input)
        box.remove_class("hidden")
        box.focus()

    def action_turn(self) -> None:
        """Show the answers instead of the models, or the other way round."""
        self._show_answers(not self.query("#models.hidden"))

    def action_stop(self) -> None:
        """Let the answers that are under way be as they are."""
        if self._worker is not None:
            self._worker.cancel()

    def action_back(self) -> None:
        """Leave the line that is written in; a filter is forgotten."""
        box = self.query_one("#filter", Input)
        if box.has_focus or not self.query_one("#prompt", Input).has_focus:
            box.value = ""
            box.add_class("hidden")
        self._focus_body()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._wanted = event.value
        self._draw()

    @on(Input.Submitted, "#filter")
    def _filter_taken(self) -> None:
        self._focus_body()

    @on(DataTable.RowSelected, "#models")
    def _selected(self) -> None:
        self.action_choose()

    @on(Input.Submitted, "#prompt")
    async def _submitted(self, event: Input.Submitted) -> None:
        try:
            voices = self._voices_for(event.value)
        except ShareAIError as error:
            self.dashboard.tell(error)
            return
        self._voices = voices
        answers = self.query_one("#answers", Horizontal)
        await answers.remove_children()
        await answers.mount(*(AnswerColumn(voice.model) for voice in voices))
        self._worker = self.run_worker(self._ask(voices), group="ask", exclusive=True)
        self._show_answers(True)

    def _voices_for(self, prompt: str) -> Sequence[Voice]:
        """Return who is asked; raises `ShareAIError` where nobody can be."""
        tools, models = self.dashboard.tools, self._asked()
        if tools is None:
            raise GatewayUnreachable("Models cannot be asked here.")
        if self._worker is not None:
            raise UsageError("Answers are still under way.", hint="x stops them.")
        if not prompt.strip():
            raise UsageError("The prompt is empty.")
        if not models:
            raise UsageError("There is no model to ask.", hint="shareai provider add, or shareai model add")
        return [tools.talking.voice(model, prompt) for model in models]

    def _asked(self) -> list[str]:
        """Return the models that are asked: where none is chosen, the one that the cursor is on."""
        current = self.query_one("#models", Rows).current_key
        return self._chosen or ([current] if current is not None else [])

    async def _ask(self, voices: Sequence[Voice]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for voice in voices:
                    group.create_task(voice.run())
        finally:
            self._worker = None
            if not self._is_gone:
                self._draw_answers()
                self.refresh_bindings()

    async def _load(self) -> None:
        """Ask what can be asked for."""
        link = self.dashboard.link
        try:
            listing = await link.ask_gateway(lambda gateway: gateway.admin.list_models())
        except ShareAIError as error:
            self._problem = error.message
        else:
            self._problem = ""
            self._models = {one.id: one for one in listing.models}
            self._notices = listing.notices
            self._chosen = [one for one in self._chosen if one in self._models]
        self._draw()

    def _show_answers(self, are_shown: bool) -> None:
        self.query_one("#models").set_class(are_shown, "hidden")
        self.query_one("#answers").set_class(not are_shown, "hidden")
        self._focus_body()
        self._draw_answers()
        self.refresh_bindings()

    def _focus_body(self) -> None:
        if self.query("#models.hidden"):
            self.query("#answers VerticalScroll").first().focus()
        else:
            self.query_one("#models", Rows).focus()

    def _draw_news(self) -> None:
        if self._worker is not None:
            self._draw_answers()
        if self._is_new:
            self._draw()

    def _draw(self) -> None:
        self._is_new = not self.query("#prompt")
        if self._is_new:
            return  # what is in a screen comes later than the screen itself, and goes earlier
        found = [one for one in self._models.values() if matches(one, self._wanted)]
        rows = [model_row(one, self._chosen) for one in found[:MOST_SHOWN]]
        self.query_one("#models", Rows).show(rows)
        told = Text(self._told(len(rows)), no_wrap=True, overflow="ellipsis")
        self.query_one("#told", Static).update(told)

    def _draw_answers(self) -> None:
        for column, voice in zip(self.query(AnswerColumn), self._voices, strict=False):
            column.show(voice.now())

    def _told(self, shown: int) -> str:
        if self._problem:
            return plain(self._problem)
        chosen = ", ".join(map(plain, self._chosen)) or "the model under the cursor"
        amiss = f" {plain(self._notices[0])}" if self._notices else ""
        return f"{shown} of {len(self._models)} models. Asks {chosen}: i writes the prompt.{amiss}"


def matches(model: ModelInfo, wanted: str) -> bool:
    """Tell whether a model has every word in its names, abilities or kind; "free" costs nothing."""
    free = "free" if model.prompt_nano == 0 and model.completion_nano == 0 else ""
    text = " ".join((model.id, *model.targets, *(model.abilities or ()), model.kind, free)).casefold()
    return all(word in text for word in wanted.casefold().split())


def model_row(model: ModelInfo, chosen: Sequence[str]) -> Row:
    """Return a model's line."""
    place = str(chosen.index(model.id) + 1) if model.id in chosen else " "
    abilities = "-" if model.abilities is None else " ".join(model.abilities) or "none"
    more = f" > {model.targets[0]}" if model.kind == "route" and model.targets else ""
    return (
        model.id,
        (
            f"[{place}]",
            plain(model.id + more),
            Text(_context(model.context), justify="right"),
            Text(price(model.prompt_nano, model.completion_nano), justify="right"),
            "-" if model.state == "unknown" else state_words(model.state, model.seconds),
            plain(abilities),
        ),
    )


def _context(tokens: int | None) -> str:
    if not tokens:
        return "-"
    return f"{tokens >> 10}k" if tokens % 1000 and tokens % 1024 == 0 else count(tokens)

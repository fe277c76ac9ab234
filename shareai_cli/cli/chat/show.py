"""Asks models, and shows their answers: one as it comes, several side by side or one below the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from shareai_cli.cli.chat.access import Access
from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.chat.client import ChatClient
from shareai_cli.cli.chat.conversation import Conversation
from shareai_cli.cli.chat.facts import facts_line
from shareai_cli.cli.chat.screen import (
    MarkdownScreen,
    PlainScreen,
    Screen,
    is_capable,
    keep_drawing,
    make_console,
    silent_keys,
)
from shareai_cli.cli.console import printable

if TYPE_CHECKING:
    from rich.console import Console

Result = TypeVar("Result")


class Voice:
    """A model, and what was said with it."""

    def __init__(self, model: str, conversation: Conversation) -> None:
        self.model = model
        self.conversation = conversation

    def __repr__(self) -> str:
        return f"<Voice {self.model} {self.conversation!r}>"


class _Turn:
    """One answer on its way to the screen: held back until those before it have been shown."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.has_begun = False
        self.has_ended = False
        self._held: list[str] = []
        self._add: Callable[[str], None] = self._held.append
        self.answer = Answer(voice.model, lambda text: self._add(text))

    def begin(self, screen: MarkdownScreen | PlainScreen) -> None:
        """Let the answer go to a screen from now on."""
        self.has_begun = True
        screen.add("".join(self._held))
        self._add = screen.add


class Show:
    """One chat's connection and screen.

    Facts about answers go to `facts`, nowhere where that is None; errors are told where `tells_errors`.
    """

    def __init__(
        self, access: Access, runner: asyncio.Runner, *, facts: TextIO | None, tells_errors: bool
    ) -> None:
        self._access = access
        self._runner = runner
        self._facts = facts
        self._tells_errors = tells_errors
        self._client = self.run(_opened(access))
        self.console: Console | None = make_console() if is_capable(sys.stdout) else None

    def __repr__(self) -> str:
        return f"<Show of {self._client!r}>"

    def close(self) -> None:
        """Close the connections."""
        self.run(self._client.close())

    def run(self, what: Coroutine[Any, Any, Result]) -> Result:
        """Wait for something; Ctrl-C cancels it and is then raised as `KeyboardInterrupt`."""
        try:
            return self._runner.run(what)
        except BaseExceptionGroup as group:  # a task's failure, such as that of a reader who has left
            raise _first(group) from None

    def models(self) -> list[str]:
        """Return the names that can be asked for; raises `ShareAIError`."""
        return self.run(self._client.models())

    def check_model(self, name: str) -> None:
        """Raise `UsageError` where no such model is known, and other errors."""
        self.run(self._client.check_model(name))

    def collect(self, voices: Sequence[Voice]) -> list[Answer]:
        """Ask every voice its question, all at once, and show nothing."""
        answers = [Answer(voice.model, lambda text: None) for voice in voices]
        self.run(self._ask_all(voices, answers))
        for voice, answer in zip(voices, answers, strict=True):
            self._settle(voice, answer)
        return answers

    def ask(self, voices: Sequence[Voice]) -> list[Answer]:
        """Ask every voice its question, all at once, and show the answers; Ctrl-C stops them.

        Every conversation takes in its answer, as far as it came; `Answer.error` says what went wrong.
        """
        if self.console is None:
            return self._ask_in_turn(voices)
        with silent_keys():
            if len(voices) > 1:
                from shareai_cli.cli.chat.columns import fits

                if fits(self.console, len(voices)):
                    return self._ask_side_by_side(self.console, voices)
            return self._ask_in_turn(voices)

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Tell the person something beside an answer."""
        stream = sys.stderr if is_error or self._facts is None else self._facts
        sys.stdout.flush()
        text = printable(text)
        if is_capable(stream):
            style = "\x1b[31m" if is_error else "\x1b[2m"
            text = f"{style}{fill(text, get_terminal_size().columns)}\x1b[0m"
        stream.write(f"{text}\n")
        stream.flush()

    def _ask_in_turn(self, voices: Sequence[Voice]) -> list[Answer]:
        turns = [_Turn(voice) for voice in voices]
        try:
            self.run(self._show_in_turn(turns))
        except KeyboardInterrupt:
            for turn in turns:
                if not turn.has_begun:
                    with self._screen(turn, turns) as screen:
                        turn.begin(screen)
                if not turn.has_ended:
                    self._end(turn.voice, turn.answer)
        return [turn.answer for turn in turns]

    async def _show_in_turn(self, turns: Sequence[_Turn]) -> None:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self._ask(turn.voice, turn.answer)) for turn in turns]
            for turn, task in zip(turns, asking, strict=True):
                with self._screen(turn, turns) as screen:
                    turn.begin(screen)
                    await _drawn(screen, task)
                await asyncio.to_thread(self._end, turn.voice, turn.answer)
                turn.has_ended = True

    def _screen(self, turn: _Turn, turns: Sequence[_Turn]) -> MarkdownScreen | PlainScreen:
        if len(turns) > 1:
            self._head(turn.voice.model, is_first=turn is turns[0])
        return MarkdownScreen(self.console) if self.console is not None else PlainScreen()

    def _ask_side_by_side(self, console: Console, voices: Sequence[Voice]) -> list[Answer]:
        from shareai_cli.cli.chat.columns import Column, ColumnsScreen

        columns = [Column(voice.model, console) for voice in voices]
        answers = [Answer(voice.model, column.add) for voice, column in zip(voices, columns, strict=True)]
        screen = ColumnsScreen(console, columns)
        try:
            with screen:
                self.run(_drawn(screen, self._ask_all(voices, answers)))
        except KeyboardInterrupt:
            pass  # each answer knows whether it was stopped
        for voice, answer in zip(voices, answers, strict=True):
            self._settle(voice, answer)
        screen.print_whole([_notes(answer) for answer in answers])
        return answers

    async def _ask_all(self, voices: Sequence[Voice], answers: Sequence[Answer]) -> None:
        async with asyncio.TaskGroup() as group:
            for voice, answer in zip(voices, answers, strict=True):
                group.create_task(self._ask(voice, answer))

    async def _ask(self, voice: Voice, answer: Answer) -> None:
        await self._client.ask(answer, voice.conversation.body(voice.model))

    def _end(self, voice: Voice, answer: Answer) -> None:
        """Settle an answer, and tell what is to be told of it."""
        self._settle(voice, answer)
        if self._facts is not None and (answer.text or answer.error is None):
            self.tell(facts_line(answer))
        if answer.error is not None and self._tells_errors:
            self.tell(str(answer.error), is_error=True)

    def _settle(self, voice: Voice, answer: Answer) -> None:
        voice.conversation.answer(answer.text)
        if answer.request_id:
            answer.account = self._access.account(answer.request_id)

    def _head(self, model: str, *, is_first: bool) -> None:
        text = printable(model)
        above = "" if is_first else "\n"
        sys.stdout.write(above + (f"\x1b[1m{text}\x1b[0m\n" if self.console is not None else f"{text}:\n"))


async def _opened(access: Access) -> ChatClient:
    """Make the client inside the event loop that it belongs to."""
    return ChatClient(access)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group that may hold others."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _drawn(screen: Screen, work: Awaitable[None]) -> None:
    """Wait for something while a screen is being drawn."""
    async with asyncio.TaskGroup() as group:
        drawing = group.create_task(keep_drawing(screen))
        try:
            await work
        finally:
            drawing.cancel()


def _notes(answer: Answer) -> list[str]:
    """Return what stands below an answer's column."""
    notes = [] if answer.error is not None and not answer.text else [facts_line(answer)]
    return notes if answer.error is None else [*notes, str(answer.error)]

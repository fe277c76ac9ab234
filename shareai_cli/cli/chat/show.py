"""Asks models, and shows their answers: one as it comes, several side by side or one below the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from shareai_cli.cli.chat.access import Access
from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.chat.client import ChatClient
from shareai_cli.cli.chat.conversation import Voice
from shareai_cli.cli.chat.facts import facts_line
from shareai_cli.cli.chat.screen import (
    MarkdownScreen,
    PlainScreen,
    Screen,
    keep_drawing,
    least_width,
    make_console,
    silent_keys,
)
from shareai_cli.cli.console import is_styled, printable
from shareai_cli.cli.program import as_called

if TYPE_CHECKING:
    from rich.console import Console

Result = TypeVar("Result")


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
        self.console: Console | None = make_console() if is_styled(sys.stdout) else None

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

    def collect(self, voices: Sequence[Voice]) -> None:
        """Ask every voice its question, all at once, and show nothing."""
        for voice in voices:
            voice.begin()
        try:
            self.run(self._ask_all(voices))
        finally:
            self._settle(voices)

    def ask(self, voices: Sequence[Voice]) -> None:
        """Ask every voice its question, all at once, and show the answers; Ctrl-C stops them.

        Every conversation takes in its answer, as far as it came.
        """
        for voice in voices:
            voice.begin()
        if self.console is None:
            self._ask_in_turn(voices)
            return
        with silent_keys():
            if len(voices) > 1 and self.console.width >= least_width(len(voices)):
                self._ask_side_by_side(self.console, voices)
            else:
                self._ask_in_turn(voices)

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Tell the person something beside an answer."""
        stream = sys.stderr if is_error or self._facts is None else self._facts
        sys.stdout.flush()
        text = printable(as_called(text))
        if is_styled(stream):
            style = "\x1b[31m" if is_error else "\x1b[2m"
            text = f"{style}{fill(text, get_terminal_size().columns)}\x1b[0m"
        stream.write(f"{text}\n")
        stream.flush()

    def _ask_in_turn(self, voices: Sequence[Voice]) -> None:
        waiting = list(voices)
        """Those that were not yet told of."""
        try:
            self.run(self._show_in_turn(voices, waiting))
        except KeyboardInterrupt:
            for voice in waiting:
                voice.answer.stop()
                if not voice.answer.is_shown:
                    with self._screen(voice, voices) as screen:
                        voice.answer.show_on(screen.add)
                self._tell_of(voice)

    async def _show_in_turn(self, voices: Sequence[Voice], waiting: list[Voice]) -> None:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(self._ask(voice)) for voice in voices]
            for voice, task in zip(voices, asking, strict=True):
                with self._screen(voice, voices) as screen:
                    voice.answer.show_on(screen.add)
                    await _drawn(screen, task)
                await asyncio.to_thread(self._tell_of, voice)
                waiting.remove(voice)

    def _screen(self, voice: Voice, voices: Sequence[Voice]) -> MarkdownScreen | PlainScreen:
        if len(voices) > 1:
            self._head(voice.model, is_first=voice is voices[0])
        return MarkdownScreen(self.console, voice.answer) if self.console is not None else PlainScreen()

    def _ask_side_by_side(self, console: Console, voices: Sequence[Voice]) -> None:
        from shareai_cli.cli.chat.columns import ColumnsScreen

        screen = ColumnsScreen(console, [voice.answer for voice in voices])
        try:
            with screen:
                self.run(_drawn(screen, self._ask_all(voices)))
        except KeyboardInterrupt:
            for voice in voices:
                voice.answer.stop()
        self._settle(voices)
        screen.print_whole([_notes(voice.answer) for voice in voices])

    async def _ask_all(self, voices: Sequence[Voice]) -> None:
        async with asyncio.TaskGroup() as group:
            for voice in voices:
                group.create_task(self._ask(voice))

    async def _ask(self, voice: Voice) -> None:
        await self._client.ask(voice.answer, voice.conversation.body(voice.model))

    def _tell_of(self, voice: Voice) -> None:
        """Settle an answer that has been shown, and tell what is to be told of it."""
        self._settle([voice])
        answer = voice.answer
        if self._facts is not None and (answer.text or answer.error is None):
            self.tell(facts_line(answer))
        if self._tells_errors and answer.error is not None:
            self.tell(str(answer.error), is_error=True)
            if answer.account is not None:
                self.tell(f"shareai explain {answer.request_id} tells what was tried.")

    def _settle(self, voices: Sequence[Voice]) -> None:
        """Let conversations take in their answers, and look up what the accounts say of them."""
        for voice in voices:
            answer = voice.answer
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

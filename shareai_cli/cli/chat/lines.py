"""Reads what a person types: with line editing, completion by Tab and a history, where there is readline."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

MOST_REMEMBERED: Final = 1000
"""Lines of the history."""

FENCE: Final = '"""'
"""Begins and ends a text of several lines."""

Complete = Callable[[str], Sequence[str]]
"""Returns what the whole line so far could become."""


class LineReader:
    """One chat's input. What begins with a space is not kept in the history, as in many shells.

    The history file is its owner's alone; that it cannot be written is no reason not to chat.
    """

    def __init__(self, history: Path, *, is_plain: bool) -> None:
        self._history = history
        self._complete: Complete = lambda line: ()
        self._is_plain = is_plain
        self._found: list[str] = []
        self._readline = _import_readline()
        if self._readline is not None:
            self._set_up(self._readline)

    def complete_with(self, complete: Complete) -> None:
        """Complete what is typed by another function from now on."""
        self._complete = complete

    def read(self, prompt: str, *, is_kept: bool = True) -> str:
        """Return one line, or what stands between two lines of three quotation marks.

        Raises `EOFError` at the end of the input (Ctrl-D), `KeyboardInterrupt` for Ctrl-C.
        """
        text = input(self._styled(prompt))
        if text.strip().startswith(FENCE):
            text = self._read_fenced(text.strip().removeprefix(FENCE))
        elif is_kept:
            self._remember(text)
        return text

    def _read_fenced(self, text: str) -> str:
        lines = [text]
        while not lines[-1].rstrip().endswith(FENCE):
            lines.append(input("... "))
        lines[-1] = lines[-1].rstrip().removesuffix(FENCE)
        return "\n".join(lines).strip("\n")

    def _styled(self, prompt: str) -> str:
        if self._is_plain:
            return prompt
        if self._readline is None:
            return f"\x1b[1m{prompt}\x1b[0m"
        return f"\001\x1b[1m\002{prompt}\001\x1b[0m\002"  # readline does not count what stands in \001 \002

    def _set_up(self, readline: ModuleType) -> None:
        with suppress(OSError):
            os.close(os.open(self._history, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.read_history_file(self._history)
        readline.set_history_length(MOST_REMEMBERED)
        readline.set_auto_history(False)
        readline.set_completer_delims(" \t\n")
        readline.set_completer(self._suggest)
        is_libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")

    def _remember(self, text: str) -> None:
        if self._readline is None or not text.strip() or text.startswith(" "):
            return
        number = self._readline.get_current_history_length()
        if number and self._readline.get_history_item(number) == text:
            return
        self._readline.add_history(text)
        with suppress(OSError):
            self._readline.append_history_file(1, self._history)

    def _suggest(self, word: str, number: int) -> str | None:
        """Answer readline, which asks for one suggestion after the other until there is none."""
        if self._readline is None:
            return None
        if number == 0:
            line = self._readline.get_line_buffer()[: self._readline.get_endidx()]
            before = line.removesuffix(word)
            self._found = [one.removeprefix(before) for one in self._complete(line)]
        return self._found[number] if number < len(self._found) else None


def _import_readline() -> ModuleType | None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        import readline
    except ImportError:
        return None
    return readline

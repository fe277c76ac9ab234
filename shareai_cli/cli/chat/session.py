"""The conversation at a terminal: lines are questions, and those that begin with a slash commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shareai_cli.cli.chat.conversation import Voice
from shareai_cli.cli.chat.lines import LineReader
from shareai_cli.cli.chat.show import Show
from shareai_cli.cli.console import print_line
from shareai_cli.cli.progress import Progress
from shareai_cli.errors import ConfigurationError, ShareAIError, UsageError
from shareai_cli.nearest import nearest

PROMPT: Final = "> "
MOST_LISTED: Final = 40

HELP: Final = """\
/model [NAME]    Talk to another model; alone, list them. Tab completes the name.
/system [TEXT]   Set the system prompt; alone, show it; '/system clear' takes it away.
/clear           Forget what was said.
/retry           Ask the last question again.
/quit            End the chat, as Ctrl-D does.

Ctrl-C stops an answer. Three quotation marks begin and end a text of several lines. A line that begins
with a space is not kept in the history."""


class Session:
    """One chat at a terminal, with one model or with several that answer the same questions."""

    def __init__(self, show: Show, voices: Sequence[Voice], reader: LineReader) -> None:
        self._show = show
        self._voices = voices
        self._reader = reader
        self._models: list[str] = []
        self._has_ended = False
        self._commands: Mapping[str, Callable[[str], None]] = {
            "model": self._choose_model,
            "system": self._set_system,
            "clear": self._clear,
            "retry": self._retry,
            "help": self._help,
            "quit": self._quit,
            "exit": self._quit,
            "bye": self._quit,
        }
        reader.complete_with(self.complete)

    def run(self) -> None:
        """Answer until the person has enough."""
        while not self._has_ended:
            try:
                text = self._reader.read(PROMPT)
            except EOFError:
                print_line()
                return
            except KeyboardInterrupt:
                print_line()
                self._show.tell("Ctrl-D or /quit ends the chat.")
                continue
            try:
                self._take(text)
            except ShareAIError as error:
                self._show.tell(str(error), is_error=True)
            except KeyboardInterrupt:
                print_line()

    def complete(self, line: str) -> list[str]:
        """Return what a line could become: a command, or a model behind `/model`."""
        word, space, rest = line.partition(" ")
        if not word.startswith("/"):
            return []
        if not space:
            return [f"/{name} " for name in self._commands if name.startswith(word[1:])]
        if word != "/model":
            return []
        begun, _, last = rest.rpartition(" ")
        start = f"/model {begun} " if begun else "/model "
        return [f"{start}{name}" for name in self._known_models() if name.startswith(last)]

    def _take(self, text: str) -> None:
        if not text.strip():
            return
        if not text.startswith("/"):
            for voice in self._voices:
                voice.conversation.ask(text.strip())
            self._ask()
            return
        name, _, rest = text[1:].strip().partition(" ")
        command = self._commands.get(name)
        if command is None:
            near = nearest(name, self._commands)
            raise UsageError(
                f"There is no /{name[:40]}.",
                hint=f"Did you mean /{near}?"
                if near
                else "/help lists the commands. A question that begins with a slash needs a space before it.",
            )
        command(rest.strip())

    def _ask(self) -> None:
        self._show.ask(self._voices)
        print_line()

    def _choose_model(self, names: str) -> None:
        if not names:
            self._list_models()
            return
        chosen = [names] if len(self._voices) == 1 else names.split()
        if len(chosen) != len(self._voices):
            raise UsageError(f"Name {len(self._voices)} models: they are compared.")
        for name in chosen:
            self._show.check_model(name)
        for voice, name in zip(self._voices, chosen, strict=True):
            voice.model = name
        self._show.tell(f"Now talking to {' and '.join(chosen)}; what was said so far goes along.")

    def _list_models(self) -> None:
        self._models = self._show.models()
        current = {voice.model for voice in self._voices}
        for name in self._models[:MOST_LISTED]:
            print_line(f"{'*' if name in current else ' '} {name}")
        if len(self._models) > MOST_LISTED:
            self._show.tell(f"... and {len(self._models) - MOST_LISTED} more: /model, and Tab completes.")

    def _known_models(self) -> list[str]:
        """Return the models' names, asked for once; none where they cannot be had."""
        if not self._models:
            try:
                self._models = self._show.models()
            except ShareAIError:
                return []
        return self._models

    def _set_system(self, text: str) -> None:
        conversations = [voice.conversation for voice in self._voices]
        if not text:
            self._show.tell(conversations[0].system or "There is no system prompt. /system TEXT sets one.")
            return
        for conversation in conversations:
            conversation.system = None if text == "clear" else text
        self._show.tell(
            "The system prompt is taken away." if text == "clear" else "The system prompt is set."
        )

    def _clear(self, _: str) -> None:
        for voice in self._voices:
            voice.conversation.clear()
        self._show.tell("What was said is forgotten.")

    def _retry(self, _: str) -> None:
        if not self._voices[0].conversation.question:
            raise UsageError("There is no question yet.")
        for voice in self._voices:
            voice.conversation.take_back()
        self._ask()

    def _help(self, _: str) -> None:
        print_line(HELP)

    def _quit(self, _: str) -> None:
        self._has_ended = True


def ask_for_model(show: Show, reader: LineReader) -> str:
    """Let the person choose among all models; raises `EOFError` or `KeyboardInterrupt` for none of them."""
    with Progress("Asking for the models"):
        names = show.models()
    if not names:
        raise nothing_to_ask()
    show.tell(f"There are {len(names)} models, such as {', '.join(names[:5])}.")
    reader.complete_with(lambda line: [name for name in names if name.startswith(line)])
    while True:
        name = reader.read("Model (Tab completes): ", is_kept=False).strip()
        try:
            if name:
                show.check_model(name)
                return name
        except ShareAIError as error:
            show.tell(str(error), is_error=True)


def nothing_to_ask() -> ConfigurationError:
    """Return the error of a gateway that serves nothing."""
    return ConfigurationError(
        "There is no model to talk to: no provider and no model is configured.",
        hint="shareai init looks for keys, engines and models here; shareai provider add openai adds one.",
    )

"""Questions to a person at a terminal; nobody else is asked anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

from shareai_cli.cli.console import note, printable
from shareai_cli.cli.invocation import Invocation
from shareai_cli.errors import ExitCode, UsageError

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]

_YES_OR_NO: Mapping[str, str] = {"y": "yes", "n": "no"}


def can_ask(run: Invocation) -> bool:
    """Tell whether somebody is there who can be asked, and wants to be."""
    return not run.no_input and sys.stdin.isatty() and sys.stderr.isatty()


def agree(run: Invocation, question: str, *, yes: bool) -> None:
    """Return where a person agrees to what cannot be undone, or `--yes` said so before.

    Raises `UsageError` where nobody can be asked, `typer.Exit` where the answer is no.
    """
    if yes:
        return
    if not can_ask(run):
        raise UsageError(
            "Nothing was changed: this wants to be confirmed, and nobody can be asked here.",
            hint="--yes confirms it.",
        )
    if not confirm(question, default=False):
        note("Nothing was changed.")
        raise typer.Exit(ExitCode.FAILURE)


def confirm(question: str, *, default: bool = True) -> bool:
    """Ask a question that is answered with yes or no; raises `typer.Abort` where no answer comes."""
    return choose(question, _YES_OR_NO, "y" if default else "n") == "y"


@contextmanager
def own_line() -> Iterator[None]:
    """Let what follows a question begin on a line of its own where Ctrl-C is the answer."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise


def choose(question: str, answers: Mapping[str, str], default: str) -> str:
    """Ask for one of a few answers, each known by its letter, its word, or anything that begins it.

    `answers` are the words by letter, none of which begins another. Nothing typed means `default`. Raises
    `typer.Abort` at the end of the input.
    """
    shown = "/".join(letter.upper() if letter == default else letter for letter in answers)
    while True:
        sys.stderr.write(f"{printable(question)} [{shown}] ")
        sys.stderr.flush()
        with own_line():
            line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            raise typer.Abort
        typed = line.strip().lower()
        if not typed:
            return default
        for letter, word in answers.items():
            if typed == letter or word.startswith(typed):
                return letter
        note("Type " + " or ".join(f"{letter} ({word})" for letter, word in answers.items()) + ".")

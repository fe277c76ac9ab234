"""Answers a shell that asks what could come next in a command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from shareai_cli.cli.invocation import Invocation


def answer(command: Any, run: Invocation, words: Sequence[str], incomplete: str) -> None:
    """Print the candidates for the word behind `words`, each with its meaning behind a tab.

    Where anything is wrong nothing is printed: the person is typing, and has asked for nothing.
    """
    try:
        lines = list(_candidates(command, run, list(words), incomplete))
    except Exception:
        return
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _candidates(command: Any, run: Invocation, words: list[str], incomplete: str) -> Iterator[str]:
    # Private names of typer's, which keeps click's code there; the tests with real shells hold them.
    from typer._click.shell_completion import _resolve_context, _resolve_incomplete

    context = _resolve_context(command, {"obj": run}, "shareai", words)
    if context._protected_args:
        return  # an unknown command: what follows it means nothing
    wanted, rest = _resolve_incomplete(context, words, incomplete)
    option = incomplete.removesuffix(rest) if incomplete.startswith("--") else ""  # such as --by=
    for item in wanted.shell_complete(context, rest):
        if item.type == "plain":
            meaning = " ".join((item.help or "").split())
            yield f"{option}{item.value}\t{meaning}" if meaning else f"{option}{item.value}"

"""Where a command's keys come from: variables, files, standard input, or a person who types them unseen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import can_ask, own_line
from shareai_cli.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation
    from shareai_cli.secrets import Secret, SecretReference

STDIN_LIMIT = 1 << 16

KeyEnvOption = Annotated[
    list[str] | None,
    typer.Option("--key-env", metavar="VARIABLE", help="A variable that holds a key; repeatable."),
]
KeyFileOption = Annotated[
    list[Path] | None,
    typer.Option("--key-file", metavar="PATH", help="A file (0600) that holds a key; repeatable."),
]
StdinOption = Annotated[
    bool, typer.Option("--stdin", help="Read a key from standard input and keep it safe.")
]
NoCheckOption = Annotated[bool, typer.Option("--no-check", help="Do not ask the provider about the key.")]


def references(variables: Sequence[str] | None, files: Sequence[Path] | None) -> list[SecretReference]:
    """Return the places that options name; raises `UsageError` in the options' own words."""
    from shareai_cli.paths import absolute
    from shareai_cli.secrets import parse_reference

    named = [("--key-env", f"env:{variable}") for variable in variables or ()]
    named += [("--key-file", f"file:{absolute(file)}") for file in files or ()]
    found = []
    for option, text in named:
        try:
            found.append(parse_reference(text))
        except ConfigurationError as error:
            raise UsageError(f"{option}: {error.message}", hint=error.hint) from None
    return found


def read_key(run: Invocation) -> Secret:
    """Read the key that `--stdin` means: from a pipe, or from a person where there is a terminal."""
    if can_ask(run):
        secret = ask_key("Key")
        if secret is not None:
            return secret
        raise UsageError("No key was typed.")
    from shareai_cli.secrets import check_key_text

    secret = check_key_text(sys.stdin.read(STDIN_LIMIT))
    if secret is None:
        raise UsageError(
            "Standard input did not hold a key: one line of printable ASCII, without spaces.",
            hint="shareai provider add NAME --stdin < key-file",
        )
    return secret


def ask_key(what: str) -> Secret | None:
    """Let a person type a key, which is not shown; None where nothing was typed.

    Raises `UsageError` for what can be no key, `typer.Abort` at the end of the input.
    """
    import getpass

    from shareai_cli.secrets import check_key_text

    try:
        with own_line():
            text = getpass.getpass(f"{what} (not shown): ", stream=sys.stderr)
    except EOFError:
        raise typer.Abort from None
    if not text.strip():
        return None
    secret = check_key_text(text)
    if secret is None:
        raise UsageError("That was no key, which is printable ASCII without spaces. Nothing was saved.")
    return secret

"""`shareai completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import print_json

app = new_app()

VARIABLE = "_SHAREAI_COMPLETE"
"""Set by the scripts when they ask this program what could come next."""

Shell = Literal["bash", "zsh", "fish", "powershell"]


@command(
    app, "completion", example="shareai completion bash > ~/.local/share/bash-completion/completions/shareai"
)
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
    as_json: JsonOption = False,
) -> None:
    """Print the completion script of a shell.

    bash and zsh load it with eval, fish with source, PowerShell with Invoke-Expression; or put it where the
    shell looks for completions.
    """
    import sys

    text = script(shell)
    if as_json:
        print_json({"shell": shell, "script": text})
    else:
        sys.stdout.write(text)


def script(shell: Shell) -> str:
    """Return the script, with one line end at its end."""
    # The one private name of typer's that is used; a test holds its output equal to completions/.
    from typer._completion_shared import get_completion_script

    text = get_completion_script(prog_name="shareai", complete_var=VARIABLE, shell=shell)
    return f"{text.strip()}\n"

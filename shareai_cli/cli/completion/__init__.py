"""`shareai completion`: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion.scripts import SCRIPTS, Shell
from shareai_cli.cli.console import print_json

app = new_app()


@command(
    app, "completion", example="shareai completion bash > ~/.local/share/bash-completion/completions/shareai"
)
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
    as_json: JsonOption = False,
) -> None:
    """Print the completion script of a shell.

    bash and zsh load it with eval, fish with source, PowerShell with Invoke-Expression; or put it where the
    shell looks for completions. Commands, options, models, routes, providers and keys are completed, without
    asking anybody over the network.
    """
    if as_json:
        print_json({"shell": shell, "script": SCRIPTS[shell]})
    else:
        sys.stdout.write(SCRIPTS[shell])

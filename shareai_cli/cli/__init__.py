"""The commands: typer, thin. Nothing is imported before it is known which command is meant."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process with its exit code: the entry point of `shareai`."""
    import sys

    from shareai_cli.cli.streams import open_closed

    open_closed()  # first of all: what is imported may open files

    from shareai_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))

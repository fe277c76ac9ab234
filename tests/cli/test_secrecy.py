"""No command prints a key but the one that makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from shareai_cli.cli.app import app
from shareai_cli.client import GatewayAddress
from shareai_cli.paths import Paths
from shareai_cli.secrets import write_private
from tests.support.commands import shareai

PLANTED = "sk-planted-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
"""What every planted secret begins with."""

CONFIGURATION = """\
[network]
proxy = "http://user:{planted}-proxy@127.0.0.1:9"

[providers.alpha]
base_url = "http://127.0.0.1:9/v1"
keys = ["env:ALPHA_KEY", "file:{file}"]
headers = {{"X-Secret" = "{planted}-header", "X-Other" = "env:ALPHA_KEY"}}
timeouts = {{connect = 0.2, head = 0.5}}

[routes.chat]
targets = ["alpha/m1"]
"""

SAMPLES = {
    "NAME": "alpha",
    "TARGET...": "alpha/m1",
    "ID": "last",
    "SHELL": "bash",
    "KEY": "env:ALPHA_KEY",
    "PATH|NAME": "nowhere.gguf",
    "MODEL": "alpha/m1",
}
"""What stands for each argument; those that are not here are left out."""

LASTING = {("serve",), ("chat",)}
"""What goes on for longer, and is tested where it is at home."""


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with its words."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


EVERY = dict(commands(typer.main.get_command(app)))


@pytest.fixture
def planted(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put secrets wherever there is a place for one; returns the client's key that was made."""
    file = tmp_path / "alpha.key"
    write_private(file, f"{PLANTED}-file\n")
    paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(CONFIGURATION.format(planted=PLANTED, file=file))
    for variable in ("ALPHA_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, f"{PLANTED}-{variable.lower()}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PLANTED}-environment@127.0.0.1:9")
    made = str(shareai("key", "create", "alpha", "--json").json["key"])
    for place in (paths.first_key_file, paths.chat_key_file):
        write_private(place, f"{PLANTED}-{place.name}\n")
    address = GatewayAddress("http://127.0.0.1:9", f"{PLANTED}-token", 1)
    write_private(
        paths.endpoint_file, json.dumps({name: getattr(address, name) for name in address.__struct_fields__})
    )
    return made


def lines(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
    """Yield command lines of all kinds: as they are meant, and with a secret in the wrong place."""
    context = typer.Context(command)
    arguments = [one for one in command.get_params(context) if one.param_type_name == "argument"]
    samples = [SAMPLES[one.metavar] for one in arguments if one.metavar in SAMPLES]
    options = {name for one in command.get_params(context) for name in one.opts}
    yield (*words, "--help")
    if words not in LASTING:
        yes = ["--yes"] if "--yes" in options else []
        yield (*words, *samples)
        yield (*words, *samples, "--json", "--debug", *yes)
        if "--stdin" in options:
            yield (*words, *samples, "--stdin", "--debug")
    yield (*words, *samples, PLANTED, PLANTED, PLANTED, "--no-input", "--port", "x")
    yield (*words, f"--{PLANTED}")
    yield (*words, *samples, f"--json={PLANTED}")
    for option in sorted(options - {"--help", "-h", "--json", "--yes", "-y"}):
        yield (*words, *samples, option, f"{PLANTED} x", "--no-such-option")


def test_the_samples_are_of_arguments_that_there_are() -> None:
    """A renamed argument shows here, and not as a command that is no longer tried."""
    metavars = {
        one.metavar
        for command in EVERY.values()
        for one in command.get_params(typer.Context(command))
        if one.param_type_name == "argument"
    }
    assert set(SAMPLES) <= metavars


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_no_command_prints_a_key(words: tuple[str, ...], planted: str) -> None:
    """Neither in its output nor in messages, help or tracebacks, whatever the line has wrong with it."""
    for line in lines(words, EVERY[words]):
        outcome = shareai(*line, stdin=f"{PLANTED}-stdin\n")
        shown = outcome.out + outcome.err
        assert PLANTED not in shown, line
        if words != ("key", "create"):
            assert planted not in shown, line


def test_the_command_that_makes_a_key_prints_that_one(planted: str) -> None:
    """Once, and no other."""
    made = shareai("key", "create", "another").out.strip()
    assert made.startswith("sk-shareai-")
    assert planted not in made
    assert made not in "".join(shareai("key", "list", *more).out for more in ((), ("--json",)))

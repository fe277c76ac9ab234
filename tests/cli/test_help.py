"""Help is fast, complete, and begins with an example."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from shareai_cli import __version__
from shareai_cli.cli.app import COMMANDS, PANELS, app
from tests.support.commands import shareai, shareai_process

HEAVY = ("httpx", "sqlite_utils", "textual", "rich", "llama_cpp", "msgspec", "asyncio", "tomlkit",
         "uvloop", "genai_prices", "pydantic", "psutil", "keyring", "shareai_cli.config",
         "shareai_cli.gateway")  # fmt: skip


def commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group."""
    context = typer.Context(group)
    yield path
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


EVERY = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_begins_with_an_example_of_that_very_command(words: tuple[str, ...]) -> None:
    """It is the first thing after the usage, and it is followed by a description."""
    outcome = shareai(*words, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    usage, example, description, *_ = outcome.out.split("\n\n")
    assert usage.startswith("Usage: shareai")
    assert example.strip().startswith(" ".join(("Example: shareai", *words)))
    assert description.strip().endswith(".")


@pytest.mark.parametrize(
    "words",
    [one for one in EVERY if not any(other[:-1] == one for other in EVERY)],
    ids=" ".join,
)
def test_every_command_can_print_json(words: tuple[str, ...]) -> None:
    """Scripts rely on it."""
    assert "--json" in shareai(*words, "--help").out


def test_the_root_help_lists_the_commands_by_what_a_person_wants() -> None:
    """Each command once, with what it does, on stdout."""
    outcome = shareai("--help")
    assert outcome.code == 0
    panels = outcome.out.split("\n\n")[-len(PANELS) :]
    for panel, (title, commands) in zip(panels, PANELS.items(), strict=True):
        heading, *lines = panel.splitlines()
        assert heading == f"{title}:"
        for line, (name, text) in zip(lines, commands.items(), strict=True):
            assert line.split(maxsplit=1) == [name, text]
    assert shareai("-h").out == outcome.out


def test_the_table_of_commands_is_that_of_the_modules() -> None:
    """Every command in it exists, and says there what its own help begins with."""
    group = typer.main.get_command(app)
    context = typer.Context(group)
    assert group.list_commands(context) == list(COMMANDS)  # type: ignore[attr-defined]  # a group's


def test_the_version_is_the_packages() -> None:
    """One line, the same as in pyproject.toml."""
    assert shareai("--version").out == f"shareai {__version__}\n"
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == __version__


@pytest.mark.parametrize("commands", [[()], EVERY], ids=["root", "every"])
def test_help_imports_nothing_heavy(commands: Sequence[tuple[str, ...]]) -> None:
    """Neither in this program's modules nor through them: a fresh process tells, of the root and of all."""
    program = (
        "import sys\nfrom shareai_cli.cli.app import run\n"
        f"codes = {{run([*words, '--help']) for words in {commands!r}}}\n"
        f"print(*codes, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "0 []\n"


def test_commands_that_print_need_neither_the_network_nor_the_database(tmp_path: Path) -> None:
    """Listing what is declared starts no heavy machinery."""
    program = (
        "import sys\nfrom shareai_cli.cli.app import run\nrun(['provider', 'list'])\n"
        "print([name for name in ('httpx', 'sqlite_utils', 'textual', 'rich', 'llama_cpp', 'asyncio')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "[]\n"


def test_the_entry_point_runs() -> None:
    """As installed: `shareai` calls `shareai_cli.cli:main`."""
    outcome = shareai_process("--version")
    assert outcome == (0, f"shareai {__version__}\n", "")

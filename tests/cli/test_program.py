"""What is told to be typed can be typed: the program goes by the name under which it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shareai_cli.cli.program import as_called, program

ELSEWHERE = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path by which this process seems to have been called, in a folder that no PATH names."""
    script = tmp_path / "bin" / "shareai"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom shareai_cli.cli import main\n\nmain()\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", ELSEWHERE["PATH"])
    return script


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("shareai provider add NAME", "{} provider add NAME"),
        ("'shareai status' tells; shareai --help too.", "'{} status' tells; {} --help too."),
        ("Did you mean shareai config?", "Did you mean {} config?"),
        ("another version of shareai that is older", "another version of shareai that is older"),
        ("/opt/shareai serve", "/opt/shareai serve"),
        ("my-shareai serve", "my-shareai serve"),
        ("shareai served it", "shareai served it"),
    ],
)
def test_commands_begin_with_the_path_where_the_name_is_not_found(called: Path, hint: str, told: str) -> None:
    """Commands alone: the name of the program in a sentence, or in a path, stays."""
    assert as_called(hint) == told.replace("{}", str(called))
    assert as_called(as_called(hint)) == as_called(hint)


def test_a_name_that_is_found_is_enough(called: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to type a path without a need."""
    monkeypatch.setenv("PATH", str(called.parent))
    assert program() == "shareai"
    assert as_called("shareai status") == "shareai status"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("status",), "Start one: {} serve"),  # what a command tells
        (("key", "revoke", "nope"), "'{} key list' shows all keys."),  # a hint from a layer below
        (("confg",), "Did you mean {} config?"),  # a mistake in the command line
        (("config", "check", "surplus"), "{} config check --help"),  # one that the parser finds
    ],
)
def test_every_way_to_stderr_says_it_so(called: Path, arguments: tuple[str, ...], told: str) -> None:
    """As the program is called out of a virtual environment that was not activated."""
    done = subprocess.run(
        [called, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ELSEWHERE},
        check=False,
    )
    assert told.replace("{}", str(called)) in done.stderr
    assert "shareai" not in done.stderr.replace(str(called), "").replace("shareai: ", "")

"""Shells complete commands and options with the scripts that are kept in the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import shareai

SCRIPTS = Path(__file__).parents[2] / "completions"
FILES = {"bash": "shareai.bash", "zsh": "shareai.zsh", "fish": "shareai.fish", "powershell": "shareai.ps1"}


@pytest.mark.parametrize("shell", FILES)
def test_the_kept_scripts_are_what_the_command_prints(shell: str) -> None:
    """A change of typer's shows here."""
    outcome = shareai("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (SCRIPTS / FILES[shell]).read_text()
    assert shareai("completion", shell, "--json").json["script"] == outcome.out


def test_an_unknown_shell_is_refused_with_the_known_ones() -> None:
    """As any other wrong value."""
    outcome = shareai("completion", "csh")
    assert outcome.code == 2
    assert "It takes bash, zsh, fish or powershell." in outcome.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [("pro", "provider"), ("provider ''", "add list test remove"), ("nonsense ''", "")],
)
def test_bash_completes_with_the_script(words: str, expected: str, tmp_path: Path) -> None:
    """The real shell loads it, and asks the real program; what is unknown completes to nothing."""
    program = tmp_path / "shareai"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from shareai_cli.cli import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)
    asked = (
        f"PATH={tmp_path}:$PATH; source {SCRIPTS / 'shareai.bash'}; COMP_WORDS=(shareai {words}); "
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shareai_completion shareai; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == (expected, "")

"""What commands print, on terminals and elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shareai_cli.cli.console import note, print_json, print_line, print_table
from tests.support.commands import shareai_process

ROWS = [("a\x1b]0;evil\x07", 1), ("longer name [bold]", 22)]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def table_on_a_terminal(monkeypatch: pytest.MonkeyPatch, term: str = "xterm-256color") -> str:
    terminal = Terminal()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(("NAME", "COUNT"), ROWS)
    return terminal.getvalue()


def test_a_table_is_plain_columns_where_no_terminal_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers to the right; what other programs named cannot steer a terminal."""
    print_table(("NAME", "COUNT"), ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "NAME                COUNT",
        "a�]0;evil�              1",
        "longer name [bold]     22",
    ]


def test_a_terminal_gets_its_table_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is shown as it is: no markup, no control characters."""
    text = table_on_a_terminal(monkeypatch)
    assert "\x1b[1m" in text
    assert "longer name [bold]" in text
    assert "evil\x07" not in text


@pytest.mark.parametrize("columns", [80, 30, 12])
def test_a_narrow_terminal_does_not_break_short_words(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Columns stand closer; where that is not enough, the terminal breaks the lines, at least in order."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(("", "REQUESTS", "COST USD", "TIME"), [("total", 1, "0.000033", "11 ms")])
    assert terminal.getvalue().splitlines()[1].split() == ["total", "1", "0.000033", "11", "ms"]


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://no-color.org: set to anything, it means plain text."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in table_on_a_terminal(monkeypatch)


def test_a_terminal_that_can_do_little_gets_plain_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb: an editor's window, a logger."""
    assert "\x1b" in table_on_a_terminal(monkeypatch)
    assert "\x1b" not in table_on_a_terminal(monkeypatch, "dumb")


def test_json_says_its_schema_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Paths are written as text, also those that are not UTF-8."""
    print_json({"path": Path(os.fsdecode(b"/a/\xff")), "none": None, "several": (1, 2.5)})
    assert capsys.readouterr().out == (
        '{\n  "schema": 1,\n  "path": "/a/\\\\udcff",\n  "none": null,\n'
        '  "several": [\n    1,\n    2.5\n  ]\n}\n'
    )


def test_data_and_notes_go_different_ways(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets the data alone."""
    print_line("data")
    note("note")
    assert capsys.readouterr() == ("data\n", "note\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_that_cannot_be_written_is_a_failure() -> None:
    """A full disk is said in one line, and the exit code tells a script."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from shareai_cli.cli import main; main()", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device." in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_that_are_not_utf8_do_no_harm() -> None:
    """Arguments can hold any bytes."""
    odd = os.fsdecode(b"\xff")
    for arguments in (
        (odd,),
        ("route", "show", odd),
        ("provider", "add", odd),
        ("route", "add", "x", f"a/{odd}"),
        ("provider", "add", "openai", "--key-file", odd),
        ("--config", odd, "config", "show"),
    ):
        outcome = shareai_process(*arguments)
        assert outcome.code in (2, 3), outcome
        assert "bug" not in outcome.err

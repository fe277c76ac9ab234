"""Every failure ends as a message on stderr and one of the promised exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shareai_cli.cli.failures import report
from shareai_cli.errors import (
    AddressInUse,
    AuthenticationFailed,
    ConfigurationError,
    NoTargetLeft,
    ShareAIError,
    StateError,
    UsageError,
)
from tests.support.commands import shareai, shareai_process
from tests.support.configuration import PLANTED


@pytest.mark.parametrize(
    ("error", "code"),
    [(ShareAIError("x"), 1), (UsageError("x"), 2), (ConfigurationError("x"), 3), (NoTargetLeft("x"), 5),
     (AuthenticationFailed("x"), 4), (AddressInUse("x"), 1), (KeyboardInterrupt(), 130), (SystemExit(7), 7),
     (SystemExit(None), 0), (BrokenPipeError(), 1), (ValueError("x"), 1), (PermissionError(13, "No"), 1)],
)  # fmt: skip
def test_each_error_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing goes to stdout."""
    assert report(error, debug=False) == code
    assert capsys.readouterr().out == ""


def test_a_message_and_what_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Two lines, no traceback."""
    report(AddressInUse("Port 1 is taken.", hint="shareai serve --port 2"), debug=False)
    assert capsys.readouterr().err == "shareai: Port 1 is taken.\n  shareai serve --port 2\n"


def test_a_bug_is_one_line_unless_the_traceback_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Its message may hold anything, so only its kind is named."""
    error = KeyError(PLANTED)
    report(error, debug=False)
    plain = capsys.readouterr().err
    assert "This is a bug in shareai (KeyError)." in plain
    assert "--debug" in plain
    assert PLANTED not in plain
    report(error, debug=True)
    assert "KeyError" in capsys.readouterr().err


def test_an_interruption_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever pressed Ctrl-C knows."""
    report(KeyboardInterrupt(), debug=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("confg",), "Did you mean shareai config?"),
        (("zzzz",), "shareai --help"),
        (("--nope",), "There is no option --nope."),
        (("--confgi", "x"), "Did you mean --config?"),
        (("--no-inputs",), "Did you mean --no-input?"),
        (("key", "create", "--zzzz", "x"), "shareai key create --help"),
        (("serve", "--config"), "shareai serve --help"),
        (("models", "--route"), "shareai models --help"),
        (("usage", "--jsn"), "Did you mean --json?"),
        (
            ("usage", "--by", "modle"),
            "--by: 'modle' is not known. It takes model, route, target, provider, node, key, team, day or "
            "prompt.",
        ),
        (("usage", "--by", "modle"), "Did you mean model?"),
        (("serve", "--port", "x"), "--port: 'x' is not a whole number."),
        (("serve", "--port", "70000"), "--port: It has to be at least 0 and at most 65535."),
        (("route", "lsit"), "There is no command route lsit."),
        (("route", "lsit"), "Did you mean shareai route list?"),
        (("config", "--zzzz"), "shareai config --help"),
        (("config", "chek"), "check"),
        (("config", "check", "surplus"), "surplus"),
        (("provider", "add"), "Missing argument"),
        (("a\x1b[31m",), "There is no command"),
        ((), "Usage: shareai"),
        (("config",), "Usage: shareai config"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    """With the nearest command, or where help is."""
    outcome = shareai(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert "\x1b" not in outcome.err
    assert "Traceback" not in outcome.err


def test_a_key_typed_by_mistake_is_not_repeated() -> None:
    """Where an argument is one too many, or follows the wrong option."""
    for arguments in (
        ("provider", "add", "openai", PLANTED),
        ("provider", "add", "openai", "--key-env", PLANTED),
        ("provider", "add", "openai", f"--key={PLANTED}"),
        ("provider", "add", PLANTED),
        (PLANTED,),
    ):
        outcome = shareai(*arguments)
        assert outcome.code == 2
        assert PLANTED not in outcome.out + outcome.err


def test_debug_is_taken_wherever_it_stands() -> None:
    """Who sees a failure adds it at the end of the line."""
    plain, debugged = shareai("route", "show", "x"), shareai("route", "show", "x", "--debug")
    assert "Traceback" not in plain.err
    assert "Traceback" in debugged.err
    assert debugged.err.endswith(plain.err)
    assert shareai("--debug", "route", "show", "x").err == debugged.err


def test_a_reader_that_leaves_is_no_failure_to_talk_about() -> None:
    """`shareai ... | head -0` ends quietly, also for output that fits a buffer."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from shareai_cli.cli import main; main()", "config", "show"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def test_a_stream_that_knows_few_characters_is_written_to_all_the_same(tmp_path: object) -> None:
    """An ASCII terminal gets escapes, not a crash."""
    outcome = shareai_process(
        "--config", f"{tmp_path}/ü.toml", "config", "path", environ={"PYTHONIOENCODING": "ascii"}
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("\\xfc.toml\n")


def test_every_error_says_what_mends_it(tmp_path: Path) -> None:
    """Its own hint, else the command's help, the configuration's check or the doctor."""
    (tmp_path / "config.toml").write_text("[server]\nport = true\n")
    for arguments, remedy in (
        (("usage", "--json", "--csv"), "shareai usage --help"),
        (("route", "add", "a/b", "alpha/m"), "shareai route add --help"),
        (
            ("--config", str(tmp_path / "config.toml"), "route", "list"),
            "Once it is mended: shareai config check",
        ),
        (("--config", str(tmp_path / "nowhere.toml"), "route", "list"), "shareai config path tells"),
        (("explain", "last"), "shareai chat"),
    ):
        message, hint, *rest = shareai(*arguments).err.splitlines()
        assert message.startswith("shareai: ")
        assert hint.startswith(f"  {remedy}") or remedy in hint
        assert rest == []


def test_an_error_of_the_system_leads_to_the_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing better is known."""
    report(StateError("/x cannot be written: Read-only file system."), debug=False)
    assert capsys.readouterr().err.endswith("\n  shareai doctor looks for what is wrong.\n")

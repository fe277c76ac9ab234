"""The one place where a failure becomes a message on stderr and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from shareai_cli.cli.program import as_called
from shareai_cli.errors import ConfigurationError, ExitCode, ShareAIError, UsageError

INTERRUPTED = 130
"""What a shell reports of a program that SIGINT ended: 128 + 2."""


def report(error: BaseException, *, debug: bool, command: str = "shareai") -> int:
    """Say on stderr what went wrong in a command and what mends it; return the exit code."""
    if debug and isinstance(error, Exception):
        traceback.print_exception(error, file=sys.stderr)
    try:
        return end_output(_report(error, debug=debug, command=command))
    except BrokenPipeError:
        return end_output(int(ExitCode.FAILURE))


def end_output(code: int) -> int:
    """Write out what is buffered; a reader that has left (`| head`) is no failure to talk about."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            _silence(stream.fileno())
            code = code or int(ExitCode.FAILURE)
        except OSError as error:
            _silence(stream.fileno())
            if stream is sys.stdout:
                _say(f"The output cannot be written: {error.strerror}.")
            code = code or int(ExitCode.FAILURE)
    return code


def _report(error: BaseException, *, debug: bool, command: str) -> int:
    if isinstance(error, ShareAIError):
        _say(error.message, error.hint or _remedy(error, command))
        return int(error.exit_code)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(ExitCode.OK if error.code is None else 1)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return int(ExitCode.FAILURE)
    if type(error).__name__ == "Abort":
        _say("Given up.")
        return int(ExitCode.FAILURE)
    if callable(getattr(error, "show", None)) and hasattr(error, "exit_code"):
        return _report_usage(error, command)
    if isinstance(error, OSError) and not debug:
        named = f" {error.filename}:" if error.filename else ""
        _say(f"The system refused:{named} {error.strerror or type(error).__name__}.")
        return int(ExitCode.FAILURE)
    if not debug:
        _say(
            f"This is a bug in shareai ({type(error).__name__}).",
            "The same command with --debug shows where.",
        )
    return int(ExitCode.FAILURE)


def _remedy(error: ShareAIError, command: str) -> str:
    """Return where to look further, for an error that does not say itself what mends it."""
    if isinstance(error, UsageError):
        return f"{command} --help"
    if isinstance(error, ConfigurationError):
        return "Once it is mended: shareai config check"
    return "shareai doctor looks for what is wrong."


def _report_usage(error: Any, command: str) -> int:
    """Say what click found wrong with the command line; what was typed may be a key by mistake."""
    from shareai_cli.secrets import conceal

    kind, context = type(error).__name__, getattr(error, "ctx", None)
    if kind == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")
    elif kind == "NoSuchOption" and context is not None:
        _say(
            f"There is no option {conceal(error.option_name[:80])}.", _option_hint(error.option_name, context)
        )
    else:
        hint = f"{context.command_path if context is not None else command} --help"
        _say(conceal(" ".join(error.format_message().split())), hint)
    return int(ExitCode.USAGE)


def _option_hint(name: str, context: Any) -> str:
    """Return the nearest option of a command, or of those that every command takes; else where they are."""
    from shareai_cli.nearest import nearest

    own = [name[2:] for one in context.command.get_params(context) for name in one.opts if name[:2] == "--"]
    near = nearest(name.lstrip("-"), (*own, "debug", "no-input")) if name[:2] == "--" else None
    return f"Did you mean --{near}?" if near else f"{context.command_path} --help"


def _say(message: str, hint: str | None = None) -> None:
    sys.stderr.write(f"shareai: {message}\n")
    if hint:
        sys.stderr.write(f"  {as_called(hint)}\n")


def _silence(descriptor: int) -> None:
    """Let what is still buffered go nowhere: the interpreter would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)

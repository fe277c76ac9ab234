"""Runs command lines as a shell would, in this process or in one of their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from shareai_cli.cli.app import run


class Outcome(NamedTuple):
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` printed; its schema is checked."""
        fields = json.loads(self.out)
        assert fields["schema"] == 1
        assert next(iter(fields)) == "schema"
        return fields


_one_at_a_time = threading.Lock()
"""Standard input and output are the whole process's."""


def shareai(*arguments: str, stdin: str = "") -> Outcome:
    """Run one command line in this process, with this process's environment."""
    return _shareai(arguments, None, stdin.encode())


def shareai_at(
    home: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> Outcome:
    """Run one command line in this process on another state folder."""
    return _shareai(arguments, {**os.environ, **(environ or {}), "SHAREAI_HOME": str(home)}, stdin)


def _shareai(arguments: Sequence[str], environ: Mapping[str, str] | None, stdin: bytes) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with _one_at_a_time:
        former, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = run(arguments, environ)
        finally:
            sys.stdin = former
    return Outcome(code, out.getvalue(), err.getvalue())


def shareai_process(*arguments: str, environ: Mapping[str, str] | None = None, stdin: str = "") -> Outcome:
    """Run one command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from shareai_cli.cli import main; main()", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environ or {})},
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)

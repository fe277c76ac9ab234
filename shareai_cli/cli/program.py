"""How this program is called."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return what to type for `shareai`: the path by which it was called where the name means nothing."""
    called = sys.argv[0]
    if Path(called).stem != "shareai":
        return "shareai"
    found = shutil.which("shareai")
    try:
        is_it = found is not None and Path(found).samefile(called)
    except OSError:
        is_it = True
    return "shareai" if is_it else shlex.quote(called)


def as_called(text: str) -> str:
    """Return a text whose commands begin as one has to type them here.

    Whoever writes a hint, here or in a layer below, writes `shareai COMMAND`, as if the name could be found.
    """
    from shareai_cli.cli.app import COMMANDS

    no_path, a_command = r"(?<![\w/\\.-])", rf"(?= (?:--\w|(?:{'|'.join(COMMANDS)})\b))"
    return re.sub(f"{no_path}shareai{a_command}", lambda _: program(), text)

"""How this program is called."""

from __future__ import annotations

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

"""After a change of the configuration: whether a gateway that runs has taken it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shareai_cli.cli.console import note
from shareai_cli.errors import ShareAIError

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation


def tell_gateway(run: Invocation) -> None:
    """Have the running gateway read the file now, and say why where it cannot take the change up."""
    from shareai_cli.cli.state import find_running

    try:
        gateway = find_running(run.paths)
        if gateway is None:
            return
        try:
            if gateway.status().config_file != str(run.file):
                return
            problem = gateway.reload()
        finally:
            gateway.close()
    except ShareAIError:
        return  # it looks by itself; `shareai status` tells what is wrong with it
    if problem is not None:
        note(f"The gateway that runs keeps to the configuration of before: {problem}")
        if "variable" in problem:
            note("Variables are those of the shell in which it was started: start 'shareai serve' again.")

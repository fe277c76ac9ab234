"""What `shareai model` and `shareai node register` share: finding, declaring and recording models."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from shareai_cli.catalog.gguf import ModelFile, check_servable
from shareai_cli.config import Settings
from shareai_cli.errors import StateError, UsageError
from shareai_cli.paths import absolute
from shareai_cli.types import LocalModel, NodeRegistration

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation
    from shareai_cli.discovery.files import FoundFile

SUFFIX: Final = ".gguf"

UNNAMED: Final = "this machine"
"""What a machine without a name is recorded as."""

TAKEN_UP_SECONDS: Final = 5.0
"""How long a running gateway may take to notice a change of its configuration."""

_MOST_NAMED = 6
_NO_NAME = re.compile(r"[^A-Za-z0-9._:-]+")


class Wish(Struct, frozen=True):
    """A file that shall be served."""

    path: Path
    name: str | None = None
    """What it is to be asked for by, where somebody said so."""
    fitting: str | None = None
    """What suits it better than its own name, for want of a name that is asked for."""


class Declared(Struct, frozen=True):
    """What became of a wish."""

    model: LocalModel
    file: ModelFile
    is_new: bool


def declare(run: Invocation, wishes: Sequence[Wish]) -> tuple[list[Declared], Settings]:
    """Check GGUF files and declare them, all or none.

    One that is declared already keeps its name, unless another one is asked for, which is refused. Raises
    `ConfigurationError` for a file that cannot be served, `UsageError` for a name that cannot be had.
    """
    # Links keep their names, which resolve() would take from them.
    paths = [Path(os.path.abspath(absolute(wish.path))) for wish in wishes]  # noqa: PTH100
    files = [check_servable(path) for path in paths]
    former = {model.path for model in run.settings().local.models} if run.file.exists() else set()
    if all(str(path) in former for path in paths):
        # Nothing is new, but one of them may be set aside: it is asked for again.
        from shareai_cli.cli.reload import tell_gateway

        tell_gateway(run)
    names = {
        path: wish.name or ((wish.fitting or file.id) if str(path) not in former else None)
        for path, wish, file in zip(paths, wishes, files, strict=True)
    }
    settings = run.editor().add_local_models(names)
    models = {model.path: model for model in settings.local.models}
    declared = [
        Declared(models[str(path)], file, is_new=str(path) not in former)
        for path, file in zip(paths, files, strict=True)
    ]
    return declared, settings


def find(run: Invocation, what: str) -> Wish:
    """Return the file that a path or a name means; `UsageError` where there is none, or more than one."""
    path = absolute(Path(what))
    if path.is_dir():
        raise _folder(path)
    if _is_path(what):
        return Wish(path)
    declared = run.settings().local.models if run.file.exists() else ()
    for model in declared:
        if model.id == what:
            return Wish(Path(model.path))
    from shareai_cli.discovery.files import find_files

    found = find_files(run.environ).files
    wanted = what.casefold()
    exact = [one for one in found if wanted in (one.id.casefold(), one.name.casefold())]
    chosen = exact or [one for one in found if wanted in one.name.casefold()]
    if len(chosen) != 1:
        raise _none(what, found) if not chosen else _several(what, chosen)
    return Wish(chosen[0].path, fitting=_NO_NAME.sub("-", chosen[0].id))


def record(run: Invocation, settings: Settings) -> None:
    """Keep the record of this machine in step, where it was registered as a node; else there is none."""
    import platform

    from shareai_cli.cli.console import note
    from shareai_cli.cli.state import open_admin

    if not run.paths.database.exists():
        return
    served = tuple(model.id for model in settings.local.models)
    try:
        with open_admin(run.paths) as admin:
            for node in admin.list_nodes():
                if node.name == (platform.node() or UNNAMED) and set(node.models) != set(served):
                    admin.register_node(NodeRegistration(node.name, node.facts, served))
    except StateError as error:
        note(f"The list of nodes still has the former models: {error}")


def await_taken_up(run: Invocation, name: str, *, served: bool) -> bool:
    """Wait until the running gateway serves a model, or no longer does; returns whether one has done so.

    Tells why where a gateway runs and has not taken the change up.
    """
    from shareai_cli.cli.console import note
    from shareai_cli.cli.state import find_running

    gateway = find_running(run.paths)
    if gateway is None:
        return False
    with closing(gateway):
        until = time.monotonic() + TAKEN_UP_SECONDS
        while True:
            status = gateway.status()
            if status.config_file != str(run.file):
                note(f"The gateway that runs reads another configuration: {status.config_file}")
                return False
            if any(one.id == name for one in status.local_models) is served:
                return True
            if status.config_problem is not None or time.monotonic() > until:
                note(f"The running gateway did not take it up. {status.config_problem or ''}")
                return False
            time.sleep(0.1)


def _is_path(what: str) -> bool:
    """Tell a path from a name: names have slashes too, and no file under them here."""
    return (
        what.lower().endswith(SUFFIX) or what.startswith((".", "~", os.sep)) or absolute(Path(what)).exists()
    )


def _folder(path: Path) -> UsageError:
    names = sorted(one.name for one in path.glob(f"*{SUFFIX}"))
    hint = f"shareai model add {shlex.quote(str(path / names[0]))}" if names else None
    more = f"; it holds {', '.join(names[:_MOST_NAMED])}" if names else ""
    return UsageError(f"{path} is a folder, not a GGUF file{more}.", hint=hint)


def _none(what: str, found: Sequence[FoundFile]) -> UsageError:
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import nearest

    near = nearest(what, [one.id for one in found])
    return UsageError(
        f"There is no file {shown(what)}, and no program on this machine keeps a model of that name.",
        hint=f"Did you mean {near}?"
        if near
        else "shareai model pull REPO:QUANT fetches one from the Hugging Face hub. What 'ollama pull' or "
        "LM Studio fetched is found here, too.",
    )


def _several(what: str, found: Sequence[FoundFile]) -> UsageError:
    from shareai_cli.config.reading import shown

    names = [one.name for one in found]
    if len(set(names)) < len(names):
        names = [str(one.path) for one in found]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return UsageError(
        f"{shown(what)} could be {', '.join(names[:_MOST_NAMED])}{more}.",
        hint=f"shareai model add {shlex.quote(names[0])}",
    )

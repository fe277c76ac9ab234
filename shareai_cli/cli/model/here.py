"""What models there are on this machine: those that it serves, and those that other programs keep."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.catalog.gguf import ModelFile, inspect
from shareai_cli.errors import ConfigurationError
from shareai_cli.node.memory import Memory
from shareai_cli.node.verdict import Verdict, judge
from shareai_cli.types import NODE, LocalModel

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation
    from shareai_cli.client import LocalProcess, Status
    from shareai_cli.discovery.found import Examined

STATES: Final[Mapping[str, str]] = {
    "ready": "loaded",
    "starting": "loading",
    "waiting": "waiting",
    "unloaded": "not loaded",
}
"""What the node agent calls how a model's process is, for people."""


class ModelHere(Struct, frozen=True):
    """A model on this machine."""

    id: str
    """What it is asked for by, as `node/NAME`; of one that is not declared, the name to declare it by."""
    path: str
    state: str
    """How its process is; "found" where it is not declared."""
    owner: str = ""
    """Which program keeps it; empty where it is declared."""
    file: ModelFile | None = None
    """What its header says; None where it cannot be read, or was not looked at."""
    verdict: Verdict | None = None
    context: int | None = None
    """Tokens that a request may take; None where nobody knows."""
    problem: str = ""


class Look:
    """One look at this machine: what is free counts as it was at its begin."""

    def __init__(self, run: Invocation, memory: Memory) -> None:
        self._run = run
        self._free, self._whole = memory.free(), memory.whole()
        self.complete = True
        """Whether nothing was left out for a bound's sake."""

    def __repr__(self) -> str:
        return f"<Look [{self._free} of {self._whole}]>"

    def served(self) -> Sequence[ModelHere]:
        """Return the models that this machine serves, with how they are where a gateway runs."""
        from shareai_cli.gateway.fleet import local_models
        from shareai_cli.node.models import has_llama

        models = local_models(self._run.settings(), has_llama())
        status = _status(self._run)
        processes = {one.id: one for one in status.local_models} if status is not None else {}
        return [self._served(model, processes.get(model.id)) for model in models]

    def found(self, served: Sequence[ModelHere]) -> Sequence[ModelHere]:
        """Return the models of other programs that this machine does not serve."""
        from shareai_cli.discovery.files import find_files
        from shareai_cli.discovery.found import examine

        known = {os.path.realpath(one.path) for one in served}
        files = find_files(self._run.environ)
        self.complete = files.complete
        new = [one for one in files.files if os.path.realpath(one.path) not in known]
        return [self._found(one) for one in examine(new)]

    def _served(self, model: LocalModel, process: LocalProcess | None) -> ModelHere:
        state, problem = STATES["unloaded"], ""
        if process is not None:
            state, problem = STATES.get(process.state, process.state), process.problem or ""
        here = ModelHere(f"{NODE}/{model.id}", model.path, state, problem=problem)
        try:
            file = inspect(Path(model.path))
        except ConfigurationError as error:
            return replace(here, state="broken", problem=str(error))
        trained = file.context or None
        context = min(model.context, trained) if model.context and trained else model.context or trained
        return replace(here, file=file, verdict=self._judge(model, file), context=context)

    def _found(self, one: Examined) -> ModelHere:
        file, facts = one.file, one.facts
        here = ModelHere(file.id, str(file.path), "found", file.owner, problem=file.problem)
        if facts is None:
            return here
        verdict = self._judge(LocalModel(file.id, here.path), facts)
        return replace(here, file=facts, verdict=verdict, context=facts.context or None)

    def _judge(self, model: LocalModel, file: ModelFile) -> Verdict:
        return judge(model, file, self._free, self._whole)


def _status(run: Invocation) -> Status | None:
    from shareai_cli.cli.state import find_running

    gateway = find_running(run.paths)
    if gateway is None:
        return None
    with closing(gateway):
        return gateway.status()

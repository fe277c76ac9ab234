"""What the commands of models call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation
    from shareai_cli.types import LocalModel


def find_declared(run: Invocation, name: str) -> LocalModel:
    """Return a declared model; raises `UsageError` with the nearest."""
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import nearest

    models = {model.id: model for model in run.settings().local.models}
    if name not in models:
        near = nearest(name, models)
        raise UsageError(
            f"There is no local model {shown(name)} in the configuration.",
            hint=f"Did you mean {near}?" if near else "shareai model list",
        )
    return models[name]


def target(name: str) -> str:
    """Return what a model of this machine is asked for by."""
    from shareai_cli.types import NODE

    return f"{NODE}/{name}"


def fields(model: LocalModel) -> dict[str, object]:
    """Return a declared model as `--json` has it."""
    from shareai_cli.config.describe import describe_local_model

    return {"id": target(model.id), **describe_local_model(model)}

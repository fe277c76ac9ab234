"""`shareai model list`: the models that are on this machine, and how each fits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import note, print_json, print_table
from shareai_cli.cli.invocation import invocation

if TYPE_CHECKING:
    from shareai_cli.cli.model.here import ModelHere

_FITS = {"gpu": "GPU", "gpu and ram": "GPU + RAM", "ram": "RAM", "not now": "not now", "no": "no"}


def list_(
    context: typer.Context,
    declared: Annotated[
        bool, typer.Option("--served", help="Only the models that this machine serves.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the models of this machine: those that it serves, and those that other programs keep.

    FITS is where a model has its place: in the memory that is free now of GPUs or of the system, "not now"
    where something else has to leave first, "no" where there never is enough. It takes as much as NEEDS: its
    weights, the smallest cache of use, and a margin.
    """
    from shareai_cli.cli.model.here import Look
    from shareai_cli.node.memory import Memory

    look = Look(invocation(context), Memory())
    served = look.served()
    found = [] if declared else look.found(served)
    if as_json:
        print_json({"models": [_fields(one) for one in served], "found": [_fields(one) for one in found]})
        return
    if served or found:
        print_table(
            ("MODEL", "SIZE", "QUANT", "CONTEXT", "TEMPLATE", "TOOLS", "NEEDS", "FITS", "STATE"),
            [_row(one) for one in (*served, *found)],
        )
    _tell(served, found)
    if not look.complete:
        note("There are more models than were looked through.")


def _row(one: ModelHere) -> tuple[str, ...]:
    from shareai_cli.cli.models.table import tokens
    from shareai_cli.discovery.proposal import in_bytes

    file, verdict = one.file, one.verdict
    state = f"{one.owner}'s" if one.owner else one.state
    if file is None or verdict is None:
        return (one.id, "-", "-", "-", "-", "-", "-", "-", state)
    return (
        one.id,
        in_bytes(file.size),
        file.quantization or "-",
        tokens(one.context),
        file.template or "none",
        "yes" if "tools" in file.abilities else "no",
        in_bytes(verdict.needs),
        _FITS[verdict.fit],
        state,
    )


def _tell(served: Sequence[ModelHere], found: Sequence[ModelHere]) -> None:
    """Say what is wrong with some, and what can be done with the others."""
    for one in (*served, *found):
        if one.problem:
            note(f"{one.id}: {one.problem}")
    if not served:
        note("This machine serves no model yet. shareai model add MODEL.gguf")
    usable = [one for one in found if not one.problem]
    if usable:
        note(f"Files of other programs stay where they are: shareai model run {usable[0].id}")


def _fields(one: ModelHere) -> dict[str, Any]:
    """Return a model as `--json` has it; what cannot be read is null."""
    file, verdict = one.file, one.verdict
    return {
        "id": one.id,
        "path": one.path,
        "owner": one.owner or None,
        "state": one.state,
        "reason": one.problem,
        "size": file.size if file is not None else None,
        "architecture": file.architecture if file is not None else None,
        "quantization": (file.quantization or None) if file is not None else None,
        "context": one.context,
        "template": (file.template or None) if file is not None else None,
        "abilities": file.abilities if file is not None else None,
        "needs": verdict.needs if verdict is not None else None,
        "fit": verdict.fit if verdict is not None else None,
    }

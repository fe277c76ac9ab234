"""`shareai node`: the machines that serve models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli import node_orders
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.times import day

if TYPE_CHECKING:
    from shareai_cli.node.facts import NodeFacts

app = new_app(
    "Register this machine's models; list, pause and drain nodes.",
    example="shareai node register ~/models/qwen3.gguf",
)


@command(app, "register", example="shareai node register ~/models/qwen3-8b-q4.gguf")
def register(
    context: typer.Context,
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MODEL.gguf...", help="GGUF files that this machine shall serve."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find this machine's facts, record it as a node, and declare the models that it serves.

    Each file becomes node/NAME, after its name; a running gateway takes it up. Doing it again does no harm,
    and has models tried again that were set aside because their processes died.
    """
    import msgspec

    from shareai_cli.cli.local_models import UNNAMED, Wish, declare
    from shareai_cli.cli.reload import tell_gateway
    from shareai_cli.cli.state import open_admin
    from shareai_cli.client import HttpAdmin
    from shareai_cli.node.facts import find_facts
    from shareai_cli.types import NodeRegistration

    run = invocation(context)
    declared, settings = declare(run, [Wish(path) for path in models]) if models else ([], run.settings())
    if not models:
        tell_gateway(run)
    facts = find_facts()
    served = tuple(one.id for one in settings.local.models)
    node = NodeRegistration(facts.hostname or UNNAMED, msgspec.to_builtins(facts), served)
    with open_admin(run.paths) as admin:
        info = admin.register_node(node)
        is_gateway = isinstance(admin, HttpAdmin)
    if as_json:
        print_json({"node": info, "file": settings.source})
        return
    print_line(f"Node {info.name} is registered: {_machine(facts)}.")
    print_line(
        f"It serves {', '.join(f'node/{name}' for name in served)}." if served else "It serves no model yet."
    )
    _advise([one.model.id for one in declared] or served, facts.llama, is_gateway)


@command(app, "list", example="shareai node list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the nodes, their facts and their models."""
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        nodes, ordered = admin.list_nodes(), admin.overrides().nodes
    if as_json:
        print_json({"nodes": nodes, "overrides": ordered})
        return
    for one in ordered:
        note(f"{one.node} is {one.state} by {one.by} since {day(one.since_ms)}: its models get no requests.")
    if not nodes:
        note("No nodes yet. shareai node register ~/models/MODEL.gguf")
    else:
        print_table(
            ("NAME", "PROCESSOR", "MEMORY", "GPUS", "MODELS", "REGISTERED"),
            [
                (
                    one.name,
                    one.facts.get("processor", "-"),
                    _gigabytes(one.facts.get("memory")),
                    _gpu_names(one.facts.get("gpus")),
                    ", ".join(one.models) or "-",
                    time.strftime("%Y-%m-%d", time.localtime(one.registered_ms / 1000)),
                )
                for one in nodes
            ],
        )


command(app, "pause", example="shareai node pause")(node_orders.pause)
command(app, "resume", example="shareai node resume")(node_orders.resume)
command(app, "drain", example="shareai node drain")(node_orders.drain)


def _advise(models: Sequence[str], has_llama: bool, gateway_runs: bool) -> None:
    from shareai_cli.node.models import INSTALL_HINT

    if not has_llama:
        note(f"llama.cpp is not installed here: {INSTALL_HINT}")
    elif not models:
        note("Next: shareai node register ~/models/MODEL.gguf")
    elif gateway_runs:
        note(f"Next: ask for the model {models[0]}.")
    else:
        note(f"Next: shareai serve, then ask for the model {models[0]}.")


def _machine(facts: NodeFacts) -> str:
    gpus = ", ".join(gpu.name for gpu in facts.gpus) or "no GPU"
    return f"{facts.processor}, {facts.cores} cores, {_gigabytes(facts.memory)}, {gpus}"


def _gigabytes(memory: Any) -> str:
    return f"{memory / 2**30:.3g} GiB" if isinstance(memory, int) else "-"


def _gpu_names(gpus: Any) -> str:
    if not isinstance(gpus, list):
        return "-"
    return ", ".join(str(gpu.get("name", "?")) for gpu in gpus if isinstance(gpu, dict)) or "-"

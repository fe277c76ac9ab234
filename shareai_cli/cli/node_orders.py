"""`shareai node pause`, `resume` and `drain`: whether a machine gets new requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import print_json, print_line
from shareai_cli.cli.invocation import invocation

if TYPE_CHECKING:
    from shareai_cli.overrides import NodeState

NodeArgument = Annotated[
    str, typer.Argument(metavar="[NODE]", help="The machine; node is the gateway's own.")
]


def pause(
    context: typer.Context, node: NodeArgument = "node", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Send a machine's models no new requests, until it resumes. Asks first.

    Answers that are under way go on; loaded models stay loaded. It is kept over restarts.
    """
    _order(context, node, "paused", yes=yes, as_json=as_json)


def resume(context: typer.Context, node: NodeArgument = "node", as_json: JsonOption = False) -> None:
    """Send a machine's models requests again after it was paused or drained."""
    _order(context, node, "serving", yes=True, as_json=as_json)


def drain(
    context: typer.Context, node: NodeArgument = "node", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Let a machine finish what it has, and send it no new requests. Asks first.

    As pause, but shown as draining: the machine is to go away once its answers that are under way have ended.
    """
    _order(context, node, "draining", yes=yes, as_json=as_json)


def _order(context: typer.Context, node: str, state: NodeState, *, yes: bool, as_json: bool) -> None:
    from shareai_cli.cli.state import open_admin
    from shareai_cli.gateway.overrides import check_node
    from shareai_cli.overrides import NodeOrder

    run = invocation(context)
    check_node(node)
    what = {"paused": "Pause", "draining": "Drain"}.get(state, "Resume")
    agree(run, f"{what} {node}? Its models get no new requests from then on.", yes=yes)
    with open_admin(run.paths) as admin:
        override = admin.override_node(NodeOrder(node, state))
    if as_json:
        print_json({"override": override})
    else:
        print_line(f"{override.node} is {override.state}.")

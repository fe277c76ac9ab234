"""`shareai route disable`, `enable`, `drain` and `reweight`: orders at run time, beside the configuration."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import print_json, print_line
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from shareai_cli.overrides import TargetOrder, TargetOverride, TargetState

RouteArgument = Annotated[
    str, typer.Argument(metavar="ROUTE", help="The route's name.", autocompletion=known.routes)
]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="One of its targets, provider/model.", autocompletion=known.targets_of_route
    ),
]


def disable(
    context: typer.Context,
    route: RouteArgument,
    target: TargetArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send no more of a route's requests to a target, until it is enabled again. Asks first.

    A running gateway goes by it at once, whatever the strategy; answers that are under way go on. It is kept
    over restarts, beside the configuration, and shown by status and route explain.
    """
    _set_state(context, route, target, "disabled", yes=yes, as_json=as_json)


def drain(
    context: typer.Context,
    route: RouteArgument,
    target: TargetArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a target finish what it has, and send it no more of a route's requests. Asks first.

    As disable, but shown as draining: the target is to go away, or to be changed, once its answers that are
    under way have ended.
    """
    _set_state(context, route, target, "draining", yes=yes, as_json=as_json)


def enable(
    context: typer.Context, route: RouteArgument, target: TargetArgument, as_json: JsonOption = False
) -> None:
    """Send a route's requests to a target again that was disabled or drained."""
    _set_state(context, route, target, "serving", yes=True, as_json=as_json)


def reweight(
    context: typer.Context,
    route: RouteArgument,
    target: TargetArgument,
    weight: Annotated[
        str, typer.Argument(metavar="WEIGHT", help="A whole number, or 'declared': what the file says.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Give a target another weight than the configuration does, until it is given its declared one again.

    Weights count where the strategy is weighted, sticky or least-busy.
    """
    from shareai_cli.overrides import HEAVIEST, TargetOrder

    digits = weight.isascii() and weight.isdigit() and len(weight) <= len(str(HEAVIEST))
    if weight != "declared" and not (digits and 1 <= int(weight) <= HEAVIEST):
        raise UsageError(
            f"A weight is a whole number from 1 to {HEAVIEST}, or 'declared'.",
            hint=f"shareai route reweight {route} {target} 3",
        )
    order = TargetOrder(route, target, weight=None if weight == "declared" else int(weight))
    _tell(_give(invocation(context), order), as_json=as_json)


def _set_state(
    context: typer.Context, route: str, target: str, state: TargetState, *, yes: bool, as_json: bool
) -> None:
    from shareai_cli.overrides import TargetOrder

    run = invocation(context)
    if not yes:
        _check(run, route, target)
    what = {"disabled": "Disable", "draining": "Drain"}.get(state, "Enable")
    agree(run, f"{what} {target} on the route {route}? It gets no new requests from then on.", yes=yes)
    _tell(_give(run, TargetOrder(route, target, state=state)), as_json=as_json)


def _check(run: Invocation, route: str, target: str) -> None:
    """Raise `UsageError` before a person is asked of what there is not, as far as the file can tell."""
    from shareai_cli.gateway.overrides import check_target
    from shareai_cli.ledger.overrides import read_overrides

    with suppress(ConfigurationError):  # what a running gateway goes by is then another one
        check_target(run.settings().routes, route, target, read_overrides(run.paths.database))


def _give(run: Invocation, order: TargetOrder) -> TargetOverride:
    """Order something, and return what holds from now on; raises `UsageError` of what there is not."""
    from shareai_cli.cli.state import open_admin
    from shareai_cli.client import HttpAdmin
    from shareai_cli.gateway.overrides import check_target

    with open_admin(run.paths) as admin:
        if not isinstance(admin, HttpAdmin):  # a gateway sees for itself
            check_target(run.settings().routes, order.route, order.target, admin.overrides())
        return admin.override_target(order)


def _tell(override: TargetOverride, *, as_json: bool) -> None:
    if as_json:
        print_json({"override": override})
        return
    weight = "its declared weight" if override.weight is None else f"the weight {override.weight}"
    print_line(f"{override.target} is {override.state} on the route {override.route}, with {weight}.")

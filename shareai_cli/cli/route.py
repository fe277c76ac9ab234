"""`shareai route`: public model names, and the targets behind each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shareai_cli.cli import route_orders
from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from shareai_cli.config import RouteSettings, RouteTarget, Settings

app = new_app(
    "Add, list, show, explain, steer and remove routes: public model names.",
    example="shareai route add chat openai/gpt-5-mini node/qwen3-8b-q4",
)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The route's name: what clients ask for.", autocompletion=known.routes
    ),
]


@command(app, "add", example="shareai route add chat openai/gpt-5-mini node/qwen3-8b-q4")
def add(
    context: typer.Context,
    name: NameArgument,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="provider/model or provider/model=WEIGHT.",
            autocompletion=known.targets,
        ),
    ],
    strategy: Annotated[
        Literal["priority", "weighted", "cheapest", "fastest", "least-busy", "sticky"] | None,
        typer.Option(
            "--strategy",
            help="priority asks in this order; weighted spreads by weight; cheapest goes by what a request "
            "is expected to cost, fastest by what was measured, least-busy by what is under way; sticky "
            "keeps a conversation where its prompt is cached.",
        ),
    ] = None,
    prefer: Annotated[
        Literal["own", "cloud"] | None,
        typer.Option("--prefer", help="Ask your own machines first, or the clouds, whatever the strategy."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Requests never leave your own machines.")
    ] = False,
    hedge: Annotated[
        str | None,
        typer.Option(
            "--hedge",
            metavar="TIME",
            help="Ask the next target beside one that has no answer after this time, such as 2s: who is "
            "first answers. At most one request in ten is asked twice, unless the file says another share.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Declare a route in the configuration file, in place of one that has the name.

    Without --strategy the order counts, and where weights are given the weights.
    """
    run = invocation(context)
    parsed = [_parse(text) for text in targets]
    _refuse_repeated(parsed)
    _check_hedge(hedge, parsed)
    chosen = strategy or ("weighted" if any(one.weight != 1 for one in parsed) else "priority")
    replaced = name in run.settings().routes
    settings = run.editor().add_route(
        name, parsed, strategy=chosen, prefer=prefer, private=private, hedge=hedge
    )
    _note_missing(settings, parsed)
    if as_json:
        print_json({"route": _describe(settings.routes[name]), "replaced": replaced, "file": settings.source})
        return
    verb = "replaced" if replaced else "added"
    print_line(
        f"Route {name} {verb}: {_rule(settings.routes[name])} {_targets_in_words(settings.routes[name])}."
    )


@command(app, "list", example="shareai route list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the routes."""
    routes = invocation(context).settings().routes
    if as_json:
        print_json({"routes": [_describe(one) for one in routes.values()]})
    elif not routes:
        note("No routes yet. shareai route add chat openai/gpt-5-mini")
    else:
        print_table(
            ("NAME", "STRATEGY", "TARGETS"),
            [(one.name, _rule(one), _targets_in_words(one)) for one in routes.values()],
        )


@command(app, "show", example="shareai route show chat")
def show(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a route's targets, in order."""
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import suggestion

    routes = invocation(context).settings().routes
    if name not in routes:
        hint = suggestion(name, tuple(routes)) if routes else "shareai route add chat openai/gpt-5-mini"
        raise UsageError(f"There is no route {shown(name)}.", hint=hint)
    route = routes[name]
    if as_json:
        print_json({"route": _describe(route)})
        return
    print_table(
        ("TARGET", "WEIGHT" if _has_weights(route) else "ORDER"),
        [
            (one.target.name, one.weight if _has_weights(route) else place)
            for place, one in enumerate(route.targets, 1)
        ],
    )


@command(app, "explain", example="shareai route explain chat --prompt question.txt")
def explain(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A route, provider/model or a model's id.", autocompletion=known.routes
        ),
    ],
    prompt: Annotated[
        Path | None,
        typer.Option(
            "--prompt",
            metavar="FILE",
            help="A question as text, or a request as JSON with its messages and tools; - is stdin.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whom a request would be sent to: each target, its place or why it is out, what it would cost.

    Nothing is sent. A running gateway tells how targets stand, how busy and how fast they are; without one,
    configuration and catalogue tell what they can.
    """
    from shareai_cli.cli.route_explanation import describe, explain_route, print_explanation, request_body

    explained = explain_route(invocation(context), request_body(model, prompt))
    if as_json:
        print_json(describe(explained))
    else:
        print_explanation(explained)


@command(app, "remove", example="shareai route remove chat")
def remove(
    context: typer.Context, name: NameArgument, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Take a route, and its limits, out of the configuration file. Asks first."""
    run = invocation(context)
    found = run.settings().routes.get(name)
    if found is not None:  # of one that there is not the removing itself tells
        agree(run, f"Remove the route {name}, which leads to {_targets_in_words(found)}?", yes=yes)
    settings = run.editor().remove_route(name)
    if as_json:
        print_json({"removed": name, "file": settings.source})
    else:
        print_line(f"Route {name} is removed.")


command(app, "disable", example="shareai route disable chat openai/gpt-5-mini")(route_orders.disable)
command(app, "enable", example="shareai route enable chat openai/gpt-5-mini")(route_orders.enable)
command(app, "drain", example="shareai route drain chat openai/gpt-5-mini")(route_orders.drain)
command(app, "reweight", example="shareai route reweight chat openai/gpt-5-mini 3")(route_orders.reweight)


def _parse(text: str) -> RouteTarget:
    """Read `provider/model` or `provider/model=WEIGHT`; raises `UsageError`."""
    from shareai_cli.config import RouteTarget, parse_target
    from shareai_cli.overrides import HEAVIEST

    name, equals, weight = text.rpartition("=")
    if not equals:
        name, weight = text, "1"
    digits = weight.isascii() and weight.isdigit() and len(weight) <= len(str(HEAVIEST))
    if not digits or not 1 <= int(weight) <= HEAVIEST:
        raise UsageError(f"A weight is a whole number from 1 to {HEAVIEST}.", hint="openai/gpt-5-mini=3")
    try:
        return RouteTarget(parse_target(name), int(weight))
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None


def _refuse_repeated(targets: Sequence[RouteTarget]) -> None:
    from shareai_cli.config.reading import shown

    names = [one.target.name for one in targets]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"The target {shown(name)} is there twice.", hint=f"A weight makes it count more: {name}=2"
            )


def _check_hedge(hedge: str | None, targets: Sequence[RouteTarget]) -> None:
    from shareai_cli.config.hedging import LONGEST, SHORTEST, parse_wait

    if hedge is None:
        return
    if parse_wait(hedge) is None:
        raise UsageError(f"--hedge takes a time from {SHORTEST:g} to {LONGEST:g} s.", hint="--hedge 2s")
    if len(targets) < 2:
        raise UsageError(
            "--hedge needs a second target to ask.", hint="shareai route add NAME A B --hedge 2s"
        )


def _note_missing(settings: Settings, targets: Sequence[RouteTarget]) -> None:
    """Tell of targets that this machine does not serve: they can come later, or be slips."""
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import nearest
    from shareai_cli.types import DEMO_MODEL, NODE

    served = [DEMO_MODEL] if settings.is_empty else [model.id for model in settings.local.models]
    for one in targets:
        if one.target.provider == NODE and one.target.model not in served:
            near = nearest(one.target.model, served)
            hint = f"Did you mean {NODE}/{near}?" if near else "shareai model add PATH adds one."
            note(f"This machine serves no {shown(one.target.model)}; without it that target fails. {hint}")


def _targets_in_words(route: RouteSettings) -> str:
    if _has_weights(route):
        return ", ".join(f"{one.target.name}={one.weight}" for one in route.targets)
    return ", ".join(one.target.name for one in route.targets)


def _has_weights(route: RouteSettings) -> bool:
    """Whether weights count: always where they are the strategy, else where there are any."""
    counts = route.strategy in ("sticky", "least-busy") and any(one.weight != 1 for one in route.targets)
    return route.strategy == "weighted" or counts


def _rule(route: RouteSettings) -> str:
    """Return by what a route orders its targets, in words."""
    preferred = f", {route.prefer} first" if route.prefer is not None else ""
    private = ", private" if route.private else ""
    hedged = f", hedged after {route.hedge.after:g} s" if route.hedge is not None else ""
    return f"{route.strategy}{preferred}{private}{hedged}"


def _describe(route: RouteSettings) -> dict[str, Any]:
    from shareai_cli.config.describe import describe_route

    return {"name": route.name, **describe_route(route)}

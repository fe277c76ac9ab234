"""The command line of `shareai models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json
from shareai_cli.cli.invocation import Invocation, invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shareai_cli.cli.models.filters import Filter
    from shareai_cli.types import ModelInfo, ModelListing

app = new_app()

_MOST_REASONS = 8


@command(app, "models", example="shareai models gpt-5 --ability tools --max-price 2")
def models(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Only models whose names have all of it.", autocompletion=known.models
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Only this provider's models; repeatable.",
            autocompletion=known.providers,
        ),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            "--route",
            metavar="NAME",
            help="Only this route, and its targets.",
            autocompletion=known.routes,
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Only this machine's models.")] = False,
    ability: Annotated[
        list[str] | None,
        typer.Option(
            "--ability",
            metavar="ABILITY",
            help="Only those known to have it: tools, vision, reasoning or embeddings; repeatable.",
        ),
    ] = None,
    least_context: Annotated[
        str | None,
        typer.Option(
            "--context", metavar="TOKENS", help="Only those known to take as much: 32000, 128k, 1M."
        ),
    ] = None,
    max_price: Annotated[
        float | None,
        typer.Option(
            "--max-price",
            metavar="USD",
            min=0,
            help="Only those known to cost no more for a million tokens, of prompts and of answers.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what can be asked for: routes, this machine's models, each provider's.

    Prices are US dollars for a million tokens, of prompts (IN) and of answers (OUT), the same that the
    accounts use. What is not known is shown as -, in JSON as null. A route has the least context, the common
    abilities and the highest prices of its targets. Without a gateway, providers are asked directly.
    """
    from shareai_cli.cli.models.filters import Filter, parse_abilities, parse_tokens

    wanted = Filter(
        words=tuple(words or ()),
        providers=tuple(provider or ()),
        route=route,
        local=local,
        abilities=parse_abilities(ability or ()),
        context=parse_tokens(least_context) if least_context is not None else None,
        max_price=max_price,
    )
    show(invocation(context), wanted, as_json=as_json)


def show(run: Invocation, wanted: Filter, *, as_json: bool) -> None:
    """Print what is wanted of everything that can be asked for."""
    from shareai_cli.cli.models.look import look

    listing, is_running = look(run, wanted)
    found = wanted.apply(listing.models)
    if as_json:
        print_json(
            {
                "running": is_running,
                "models": [_fields(one) for one in found],
                "notices": listing.notices,
            }
        )
        return
    _print(wanted, listing, found)
    if not is_running:
        note("No gateway runs here, so how targets stand is not known. Start one: shareai serve")


def _print(wanted: Filter, listing: ModelListing, found: Sequence[ModelInfo]) -> None:
    from shareai_cli.cli.models.filters import Filter
    from shareai_cli.cli.models.table import print_models

    for notice in listing.notices:
        note(notice)
    if not found and wanted == Filter(local=True):
        note("This machine serves no model yet. shareai model add MODEL.gguf")
    elif not listing.models:
        note("Nothing can be asked for yet. shareai provider add openai, or shareai model add MODEL.gguf")
    elif not found:
        note(f"None of {len(listing.models)} models is like that.{_nearest(wanted, listing)}")
    else:
        print_models(found)
        _tell_reasons(found)
        if len(found) < len(listing.models):
            note(f"{len(found)} of {len(listing.models)} models.")


def _nearest(wanted: Filter, listing: ModelListing) -> str:
    """Return the question whether another model was meant, by its whole name or its last part."""
    from shareai_cli.nearest import nearest

    text = " ".join(wanted.words)
    ids = [one.id for one in listing.models]
    by_name = {one.rpartition("/")[2]: one for one in reversed(ids)} | {one: one for one in ids}
    near = nearest(text, by_name) if text else None
    return f" Did you mean {by_name[near]}?" if near is not None else ""


def _tell_reasons(found: Sequence[ModelInfo]) -> None:
    """Say why some do not answer, what is the same of several models once."""
    by_reason: dict[str, list[str]] = {}
    for one in found:
        if one.reason:
            by_reason.setdefault(one.reason, []).append(one.id)
    for reason, ids in list(by_reason.items())[:_MOST_REASONS]:
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        note(f"{ids[0]}{more}: {reason}")


def _fields(model: ModelInfo) -> dict[str, Any]:
    """Return a model as `--json` has it."""
    return {
        "id": model.id,
        "kind": model.kind,
        "provider": model.provider or None,
        "targets": model.targets,
        "context": model.context,
        "abilities": model.abilities,
        "prompt_nano_usd_per_million_tokens": model.prompt_nano,
        "completion_nano_usd_per_million_tokens": model.completion_nano,
        "state": model.state,
        "seconds": round(model.seconds, 3),
        "reason": model.reason,
    }

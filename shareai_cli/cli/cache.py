"""`shareai cache`: the replies that routes keep for requests that are exactly equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation

if TYPE_CHECKING:
    from shareai_cli.types import CacheUse

app = new_app("Show what is kept of replies, and forget it.", example="shareai cache stats")

HOW_TO = 'Nothing is kept. A route keeps replies where config.toml says so: [routes.NAME] cache = "5m"'


@command(app, "stats", example="shareai cache stats")
def stats(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show how many replies each route keeps, their bytes, and how often they were given again.

    Replies are kept only for routes with `cache = "5m"` (or another age) in config.toml, in memory. They are
    written to the disk only where `[routes.NAME.cache]` has `disk = "1 GiB"` (or another size); requests
    never are.

    HITS were answered with what is kept, JOINED by the call of an equal request, MISSES by a call of their
    own, since the gateway's start. Where no gateway runs, only what is on the disk is there.
    """
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        uses = admin.cache_use()
    if as_json:
        print_json({"caches": uses})
    elif not uses:
        note(HOW_TO)
    else:
        print_table(
            ("ROUTE", "REPLIES", "MEMORY", "STORED", "DISK", "HITS", "JOINED", "MISSES"),
            [
                (
                    one.route,
                    f"{one.replies:,}",
                    _size(one.size),
                    f"{one.stored_replies:,}",
                    _size(one.stored_size),
                    f"{one.hits:,}",
                    f"{one.joined:,}",
                    f"{one.misses:,}",
                )
                for one in uses
            ],
        )


@command(app, "clear", example="shareai cache clear")
def clear(
    context: typer.Context,
    route: Annotated[
        str | None,
        typer.Argument(metavar="[ROUTE]", help="Only this route's.", autocompletion=known.routes),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Forget what is kept of replies, in memory and on the disk, of all routes or of one."""
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        cleared = admin.clear_cache(route)
    if as_json:
        print_json({"cleared": cleared})
    else:
        print_line(f"Forgotten: {_in_words(cleared)}.")


def _in_words(cleared: Sequence[CacheUse]) -> str:
    in_memory, stored = sum(one.replies for one in cleared), sum(one.stored_replies for one in cleared)
    return f"{_replies(in_memory)} in memory, {_replies(stored)} on the disk"


def _replies(count: int) -> str:
    return f"{count:,} {'reply' if count == 1 else 'replies'}"


def _size(size: int) -> str:
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size / (1 << shift):,.1f} {unit}"
    return f"{size} B"

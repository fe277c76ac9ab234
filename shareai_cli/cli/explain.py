"""`shareai explain`: what happened to one request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation

if TYPE_CHECKING:
    from shareai_cli.types import Attempt, RequestRow

app = new_app()

_ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ok": "a complete answer",
        "failed": "no target could answer",
        "incomplete": "the answer ended in the middle",
        "cancelled": "the client left before the end",
        "refused": "never sent on",
        "rejected": "the upstream refused what the client sent",
        "hit": "an answer that was kept",
        "joined": "the answer that an equal request had asked for",
    }
)
"""What each `Outcome` means."""

_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ok": "answered",
        "refused": "no connection",
        "reset": "the connection ended before its reply",
        "timeout": "too slow",
        "malformed": "its reply was none, or told of an error",
        "truncated": "its reply ended in the middle",
        "cancelled": "given up, as the client left",
        "hedged": "given up, as another one asked beside it answered first",
    }
)
"""What each `Attempt.outcome` means; "status" is in `_STATUSES`."""

_STATUSES: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "its key is refused",
        402: "its account has no credit",
        403: "its key may not do this",
        404: "it has no such model",
        408: "it was too slow itself",
        410: "it has no such model any more",
        429: "its limit is reached",
    }
)

_BASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "exact": "exact: the upstream's own counts",
        "estimated": "an estimate",
        "unknown": "no price is known, or nothing tells the tokens",
        "none": "nothing was billed",
    }
)


@command(app, "explain", example="shareai explain last")
def explain(
    context: typer.Context,
    request: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="What the header x-request-id says, or 'last' for the newest.",
            autocompletion=known.requests,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell what happened to a request: its route, every attempt and why, times, tokens and cost.

    One that is still under way is told of as far as it has come.
    """
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        row = admin.request(request.strip())
    if as_json:
        print_json({"request": describe(row)})
    else:
        _print(row)


def describe(row: RequestRow) -> dict[str, Any]:
    """Return a request as plain values with names; the token counts do not overlap."""
    usage = row.usage
    return {
        "id": row.id,
        "time_ms": row.time_ms,
        "under_way": row.outcome is None,
        "key": row.key,
        "team": row.team,
        "route": row.route,
        "streamed": row.streamed,
        "outcome": row.outcome,
        "status": row.status or None,
        "error": row.error or None,
        "target": row.target or None,
        "attempts": [
            {
                "target": one.target,
                "key": one.key or None,
                "outcome": one.outcome,
                "status": one.status or None,
                "reason": reason(one),
                "duration_us": one.duration_us,
            }
            for one in row.attempts
        ],
        "first_token_us": row.first_token_us or None,
        "total_us": row.total_us or None,
        "tokens": {
            "prompt": usage.prompt,
            "cached": usage.cached,
            "cache_write": usage.cache_write,
            "completion": usage.completion,
            "reasoning": usage.reasoning,
            "estimated": row.estimated_tokens,
        },
        "cost_nano_usd": row.cost_nano,
        "cost_basis": row.basis,
        "prompt_bytes": row.prompt_bytes,
        "completion_bytes": row.completion_bytes,
    }


def reason(attempt: Attempt) -> str:
    """Say why an attempt ended as it did."""
    if attempt.outcome != "status":
        return _REASONS.get(attempt.outcome, attempt.outcome)
    fallback = "it failed" if attempt.status >= 500 else "it refused the request"
    return f"HTTP {attempt.status}: {_STATUSES.get(attempt.status, fallback)}"


def _print(row: RequestRow) -> None:
    print_line(f"Request   {row.id}")
    print_line(f"Came      {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(row.time_ms / 1000))}")
    print_line(f"Key       {row.key or '-'} (team {row.team})")
    print_line(f"Asked     {row.route or '-'}{', streamed' if row.streamed else ''}")
    if row.outcome is None:
        age = max(0.0, time.time() - row.time_ms / 1000)
        print_line(f"State     under way for {age:,.0f} s; tokens and cost are known at its end")
        return
    print_line(f"Ended     {_ending(row)}")
    print_line(f"Took      {_times(row)}")
    print_line(f"Tokens    {_tokens(row)}")
    print_line(f"Cost      {_cost(row)}")
    if row.attempts:
        print_line()
        print_table(
            ("ATTEMPT", "TARGET", "KEY", "TIME", "WHAT CAME OF IT"),
            [
                (number, one.target, one.key or "-", _duration(one.duration_us), reason(one))
                for number, one in enumerate(row.attempts, 1)
            ],
        )
    if row.outcome == "failed":
        note("\nHow targets stand now: shareai status")


def _ending(row: RequestRow) -> str:
    from shareai_cli.types import Outcome

    status = f"{row.status}: " if row.status else ""
    ending = _ENDINGS.get(str(row.outcome), str(row.outcome))
    if row.error == "process_ended":
        ending = "the gateway was ended before it"
    elif row.error:
        ending += f" ({row.error})"
    shared = row.outcome in (Outcome.HIT, Outcome.JOINED)
    answered = shared or row.outcome in (Outcome.OK, Outcome.INCOMPLETE, Outcome.REJECTED)
    named = row.target and answered and (shared or row.attempts)
    return f"{status}{ending}{f', from {row.target}' if named else ''}"


def _times(row: RequestRow) -> str:
    if not row.total_us:
        return "unknown"
    first = f", the first token after {_duration(row.first_token_us)}" if row.first_token_us else ""
    return f"{_duration(row.total_us)}{first}"


def _tokens(row: RequestRow) -> str:
    return f"{', '.join(_counts(row))}{' (estimated)' if row.estimated_tokens else ''}"


def _counts(row: RequestRow) -> Iterator[str]:
    usage = row.usage
    yield f"{usage.prompt:,} prompt"
    for count, name in ((usage.cached, "read from a cache"), (usage.cache_write, "written to a cache")):
        if count:
            yield f"{count:,} {name}"
    yield f"{usage.completion:,} completion"
    if usage.reasoning:
        yield f"{usage.reasoning:,} reasoning"


def _cost(row: RequestRow) -> str:
    if row.cost_nano is None or row.basis == "none":
        return f"{row.basis}: {_BASES[row.basis]}"
    return f"{row.cost_nano / 1e9:.9f} USD ({_BASES[row.basis]})"


def _duration(microseconds: int) -> str:
    return f"{microseconds / 1000:,.1f} ms" if microseconds < 1_000_000 else f"{microseconds / 1e6:,.2f} s"

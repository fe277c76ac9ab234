"""What `shareai route explain` asks and prints."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shareai_cli.cli.console import note, print_table
from shareai_cli.cli.invocation import Invocation
from shareai_cli.cli.limits_in_words import in_words
from shareai_cli.errors import LedgerUnavailable, UsageError

if TYPE_CHECKING:
    from shareai_cli.types import RouteExplanation, TargetPlace

MOST_BYTES: Final = 16 << 20
"""Of a prompt; the gateway takes no larger request without being told to."""


def request_body(model: str, prompt: Path | None) -> bytes:
    """Return the request that a prompt makes; raises `UsageError`.

    A JSON object with messages is one already, any other text is a question.
    """
    from shareai_cli.question import QUESTION, request_of

    return request_of(model, _read(prompt) if prompt is not None else QUESTION)


def explain_route(run: Invocation, body: bytes) -> RouteExplanation:
    """Have the running gateway explain a request, or explain it by configuration and catalogue."""
    from shareai_cli.cli.state import find_running

    gateway = find_running(run.paths)
    if gateway is not None:
        with closing(gateway):
            return gateway.explain_route(body)
    from shareai_cli.catalog.facts import FactBook
    from shareai_cli.catalog.prices import known_models
    from shareai_cli.gateway.route_explainer import explain_offline
    from shareai_cli.ledger.overrides import read_overrides
    from shareai_cli.overrides import NO_OVERRIDES

    try:
        overrides = read_overrides(run.paths.database)
    except LedgerUnavailable as error:
        note(f"What is disabled or reweighted by hand is not known: {error}")
        overrides = NO_OVERRIDES
    return explain_offline(run.settings(), body, FactBook(), known_models, overrides=overrides)


def print_explanation(explained: RouteExplanation) -> None:
    """Print a target a line, and around it what the figures rest on."""
    rule = explained.strategy
    if explained.prefer is not None:
        rule += f", {explained.prefer} first"
    if explained.private:
        rule += ", private"
    note(f"{explained.model}: {rule}. The prompt is taken for {explained.prompt_tokens} tokens.")
    headings = ["", "TARGET", "COST", "CONTEXT", "WHY"]
    if explained.is_live:
        headings[4:4] = ["UNDER WAY", "FIRST TOKEN", "TOKENS/S"]
    print_table(headings, [_row(one, is_live=explained.is_live) for one in explained.targets])
    if explained.strategy in ("weighted", "sticky"):
        note("Those with more weight are first more often; the order shown is the likeliest.")
    if explained.hedge_after is not None:
        note(
            f"Where there is no answer after {explained.hedge_after:g} s the next one is asked too, in at "
            f"most {explained.hedge_extra * 100:g} % of requests."
        )
    if explained.limits:
        named = "; ".join(f"{one.subject} ({in_words(one.limits)})" for one in explained.limits)
        note(f"The limits of {named} are asked, and those of the key and its team.")
    if not explained.is_live:
        note(
            "No gateway runs here: this is from the configuration and the catalogue; how targets stand, how "
            "busy and how fast they are is not known. Start one: shareai serve"
        )


def describe(explained: RouteExplanation) -> dict[str, Any]:
    """Return an explanation as `--json` has it."""
    return {
        "model": explained.model,
        "route": explained.route,
        "strategy": explained.strategy,
        "prefer": explained.prefer,
        "private": explained.private,
        "prompt_tokens": explained.prompt_tokens,
        "running": explained.is_live,
        "hedge": {"after": explained.hedge_after, "extra": explained.hedge_extra}
        if explained.hedge_after is not None
        else None,
        "limits": [{"subject": one.subject, "limits": one.limits} for one in explained.limits],
        "targets": [
            {
                "target": one.target,
                "place": one.place,
                "reason": one.reason,
                "cost_nano_usd": one.cost_nano,
                "answer_tokens": one.answer_tokens,
                "weight": one.weight,
                "cached_share": one.cached_share,
                "context": one.context,
                "in_flight": one.in_flight,
                "first_token_us": one.first_token_us,
                "tokens_per_second": one.tokens_per_second,
            }
            for one in explained.targets
        ],
    }


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.read(MOST_BYTES + 1).encode("utf-8", "surrogateescape")
        else:
            with file.open("rb") as stream:
                data = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{file} cannot be read: {reason}.") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{file} is larger than {MOST_BYTES >> 20} MiB.")
    return data.decode("utf-8", "replace")


def _row(one: TargetPlace, *, is_live: bool) -> list[object]:
    row: list[object] = [
        one.place if one.place is not None else "out",
        one.target,
        "-" if one.cost_nano is None else f"${one.cost_nano / 1e9:.6f}".rstrip("0").rstrip("."),
        one.context if one.context is not None else "-",
    ]
    if is_live:
        row += [
            one.in_flight,
            f"{one.first_token_us / 1000:.0f} ms" if one.first_token_us is not None else "-",
            f"{one.tokens_per_second:.0f}" if one.tokens_per_second is not None else "-",
        ]
    return [*row, one.reason]

"""Reads `[limits]`: what the organization, routes and targets may use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from shareai_cli.config.limits import LimitMistake, parse_subject, read_limits
from shareai_cli.config.reading import KeyPath, Source, Table, kind_of, shown
from shareai_cli.config.sections import MOST_NAMED
from shareai_cli.errors import ConfigurationError, UsageError
from shareai_cli.nearest import nearest
from shareai_cli.types import NODE, Limits, LimitScope, Subject

SECTIONS: Final[Mapping[LimitScope, str]] = {"route": "routes", "target": "targets"}
"""Where the limits of each kind of subject that has names stand, below `[limits]`."""

_ELSEWHERE: Final = {"teams": "team/NAME", "keys": "key/NAME", "team": "team/NAME", "key": "key/NAME"}
"""What is not declared in a file, and how its limits are set."""


def read_limiting(
    root: Table, source: Source, routes: Collection[str], providers: Collection[str]
) -> dict[Subject, Limits]:
    """Check every limit, and that what it stands on is there; raises `ConfigurationError`."""
    value = root.value("limits")
    for key in value if isinstance(value, dict) else ():
        if key in _ELSEWHERE:
            raise source.error(
                ("limits", key),
                "limits of teams and keys are kept with them, in the database.",
                hint=f"shareai limit set {_ELSEWHERE[key]} requests_per_minute=60",
            )
    table = root.table("limits", ("organization", *SECTIONS.values()))
    limits: dict[Subject, Limits] = {}
    if table.has("organization"):
        written = table.value("organization")
        limits[Subject("organization")] = _limits(source, ("limits", "organization"), written)
    for scope, section in SECTIONS.items():
        known = routes if scope == "route" else (*providers, NODE)

        def read(
            name: str,
            item: object,
            scope: LimitScope = scope,
            section: str = section,
            known: Collection[str] = known,
        ) -> tuple[Subject, Limits]:
            path = ("limits", section, name)
            return _subject(source, path, scope, name, known), _limits(source, path, item)

        limits |= dict(table.tables(section, read, most=MOST_NAMED).values())
    return {subject: one for subject, one in limits.items() if one != Limits()}


def _subject(source: Source, path: KeyPath, scope: LimitScope, name: str, known: Collection[str]) -> Subject:
    try:
        subject = parse_subject(f"{scope}/{name}")
    except UsageError as error:
        raise source.error(path, error.message, hint=error.hint) from None
    noun, needed = ("route", name) if scope == "route" else ("provider", name.partition("/")[0])
    if needed not in known:
        near = nearest(needed, known)
        hint = f"Did you mean {near}?" if near else f"Known: {', '.join([*known][:20]) or 'none'}."
        raise source.error(path, f"there is no {noun} {shown(needed)}.", hint=hint)
    return subject


def _limits(source: Source, path: KeyPath, value: object) -> Limits:
    if not isinstance(value, dict):
        raise source.error(
            path, f"should be a table, and is {kind_of(value)}.", hint="requests_per_minute = 60"
        )
    try:
        return read_limits(value)
    except LimitMistake as mistake:
        raise _mistake(source, path, mistake) from None


def _mistake(source: Source, path: KeyPath, mistake: LimitMistake) -> ConfigurationError:
    return source.error((*path, mistake.key), mistake.reason, hint=mistake.hint)

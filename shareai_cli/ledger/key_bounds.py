"""What bounds a key that was minted from another one: it is for nothing that the other is not for."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from shareai_cli.types import Caller, KeySettings


def wider(child: KeySettings, parent: KeySettings) -> str | None:
    """Say in what a key would be for more than the one that it is minted from; None where in nothing.

    Limits are not compared: each of the parent's counts what the child uses, too.
    """
    models = ", ".join(parent.allowed[:10]) + ("..." if len(parent.allowed) > 10 else "")
    if child.team != parent.team:
        return _sentence(f"belong to the team '{child.team}'", f"belongs to '{parent.team}'")
    if parent.allowed and not child.allowed:
        return _sentence("be for every model", f"is for {models}")
    for name in child.allowed:
        if not covers(parent.allowed, name):
            return _sentence(f"be for '{name[:100]}'", f"is for {models}")
    if parent.expires_ms is not None and (child.expires_ms is None or child.expires_ms > parent.expires_ms):
        return _sentence("be valid for longer", "ends before")
    if child.may_mint and not parent.may_mint:
        return _sentence("mint keys", "may not mint any")
    if parent.prefer is not None and child.prefer != parent.prefer:
        return _sentence("have another preference", f"prefers '{parent.prefer}'")
    return None


def covers(allowed: Collection[str], name: str) -> bool:
    """Tell whether what a key may use, as its settings list it, holds a name or `provider/*`."""
    if not allowed or name in allowed:
        return True
    provider, slash, _ = name.partition("/")
    return bool(slash) and f"{provider}/*" in allowed


def bounded(caller: Caller, parent: Caller) -> Caller:
    """Return who a minted key is: it ends with the one that it was minted from, and is bound by it.

    The parent may have been changed since, and what `provider/*` means changes with the configuration: so
    each request is held against both.
    """
    bounds = parent.bounds
    if parent.allowed and parent.allowed not in (caller.allowed, *bounds):
        bounds = (parent.allowed, *bounds)
    return replace(
        caller,
        expires_ms=earlier(caller.expires_ms, parent.expires_ms),
        ancestors=(parent.key_id, *parent.ancestors),
        bounds=bounds,
    )


def earlier(one: int | None, other: int | None) -> int | None:
    """Return the earlier one of two ends; None is never."""
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _sentence(would: str, parent_is: str) -> str:
    return f"A minted key cannot {would}: the key that it is minted from {parent_is}."

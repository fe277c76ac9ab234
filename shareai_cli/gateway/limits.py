"""Limits on requests, tokens, concurrency and money. Nothing limits yet: every request passes."""

from __future__ import annotations

from shareai_cli.gateway.exchange import Handler


def limits(inner: Handler) -> Handler:
    """Stage: let every request pass."""
    return inner

"""Typed keys are kept for as long as the configuration names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation
    from shareai_cli.config import Settings
    from shareai_cli.key_store import KeyStore
    from shareai_cli.secrets import Secret, SecretReference


def key_store(run: Invocation) -> KeyStore:
    """Return where typed keys are kept."""
    from shareai_cli.key_store import KeyStore

    return KeyStore(run.paths.secrets)


@contextmanager
def keep_typed(run: Invocation, provider: str, typed: Secret | None) -> Iterator[SecretReference | None]:
    """Keep a typed key for a block that writes its place down; one that fails leaves no new key behind."""
    from shareai_cli.config.provider import name_problem

    problem = name_problem(provider)
    if problem is not None:
        raise UsageError(f"A provider cannot have this name: {problem}")
    if typed is None:
        yield None
        return
    store = key_store(run)
    kept = store.keep(provider, typed)
    try:
        yield kept.reference
    except BaseException:
        if kept.is_new:
            store.forget(kept.reference)
        raise


def forget_unused(run: Invocation, keys: Iterable[SecretReference], settings: Settings) -> None:
    """Delete kept keys that the configuration names no more; a person's own places are left alone."""
    used = {key for one in settings.providers.values() for key in one.keys}
    store = key_store(run)
    for key in keys:
        if key not in used:
            store.forget(key)

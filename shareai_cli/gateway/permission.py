"""What a key may ask for, and what `auto` means for it. On while some key is not for everything.

It comes before the cache, so that no key is given a kept reply of a model that it may not use; and it goes by
the name alone, so that a refusal tells nothing of what there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Protocol

from shareai_cli.errors import ModelNotAllowed
from shareai_cli.gateway.body import raw_string
from shareai_cli.gateway.exchange import Exchange, Handler, Reply, Replying, Stage
from shareai_cli.types import AUTO, Caller


class Models(Protocol):
    """What models' names mean."""

    @property
    def providers(self) -> Collection[str]:
        """The names of providers, `node` among them."""

    def can_serve(self, model: str) -> Awaitable[bool]:
        """Whether a target of the model's can be asked now."""


def may_use(caller: Caller, model: str, providers: Collection[str]) -> bool:
    """Tell whether a key may ask for a model under this name, and so may those that it was minted from."""
    return _covers(caller.allowed, model, providers) and all(
        _covers(bound, model, providers) for bound in caller.bounds
    )


def _covers(allowed: Collection[str], model: str, providers: Collection[str]) -> bool:
    """Tell whether what is allowed holds a model; nothing said is everything.

    `provider/*` is for a provider of ours: without one, `meta/llama` is a bare name that anybody may offer.
    """
    if not allowed or model in allowed:
        return True
    provider, slash, name = model.partition("/")
    return bool(slash and name) and provider in providers and f"{provider}/*" in allowed


def not_allowed(model: str) -> ModelNotAllowed:
    """Say that a key may not ask for a model."""
    shown = model if len(model) <= 100 else model[:97] + "..."
    return ModelNotAllowed(
        f"This key may not use the model '{shown}'.",
        hint="GET /v1/models lists what it may use.",
        param="model",
    )


def permission(models: Models) -> Stage:
    """Stage: let pass what the key may use, and put the preferred model in the place of `auto`."""

    def stage(inner: Handler) -> Handler:
        def handle(exchange: Exchange) -> Replying:
            caller = exchange.caller
            if caller is None:
                return inner(exchange)
            if exchange.model == AUTO and caller.preferences:
                return prefer(exchange, caller)
            if not may_use(caller, exchange.model, models.providers):
                raise not_allowed(exchange.model)
            return inner(exchange)

        async def prefer(exchange: Exchange, caller: Caller) -> Reply:
            exchange.model = model = await preferred(caller, models)
            exchange.fields = {**exchange.fields, "model": raw_string(model)}
            return await inner(exchange)

        return handle

    return stage


async def preferred(caller: Caller, models: Models) -> str:
    """Return the first of a key's preferences that can serve now; where none can, the first that it may use.

    Raises `ModelNotAllowed` where it may use none of them.
    """
    usable = [name for name in caller.preferences if may_use(caller, name, models.providers)]
    if not usable:
        raise not_allowed(AUTO)
    for name in usable:
        if await models.can_serve(name):
            return name
    return usable[0]

"""The targets of a route as candidates: what is known of each, and whether it can serve a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from shareai_cli.catalog.facts import KnownModel
from shareai_cli.catalog.gguf import inspect
from shareai_cli.catalog.listing import UNKNOWN, ModelFacts
from shareai_cli.config import OwnPrice, RouteTarget, Settings
from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.strategies.shape import JSON_SCHEMA, TOOLS, VISION, Shape
from shareai_cli.types import NODE, LocalModel, Target, Usage

ASSUMED_CONTEXT: Final = 8_192
"""Tokens that every model is taken to have room for whose context nobody tells."""

NAMES: Final[Mapping[int, str]] = {TOOLS: "tools", VISION: "vision", JSON_SCHEMA: "a JSON schema"}

CANNOT, MAYBE, CAN = 0, 1, 2
"""Whether a target can serve a request, as far as is known."""


class Facts(Protocol):
    """What is known of models, and what they cost."""

    def look_up(self, price_as: str, model: str, told: ModelFacts) -> KnownModel:
        """Return what is known of a model, `told` being what its provider says of it."""

    def cost_nano(self, price_as: str, model: str, usage: Usage) -> int | None:
        """Return what tokens cost now, in nano-dollars; None where no price is known."""


class NoFacts:
    """Knows nothing."""

    def look_up(self, price_as: str, model: str, told: ModelFacts) -> KnownModel:
        """See `Facts`."""
        return KnownModel()

    def cost_nano(self, price_as: str, model: str, usage: Usage) -> int | None:
        """See `Facts`."""
        return None


class Candidate(Struct, frozen=True):
    """A target of a route, with what is known of it."""

    target: Target
    weight: int = 1
    is_own: bool = False
    """Whether it is one of this person's machines."""
    context: int | None = None
    """Tokens; None is unknown."""
    can: int = 0
    cannot: int = 0
    """What it is known to be able to serve, and not to be, as bits; what is in neither is unknown."""
    price_as: str = ""
    price: OwnPrice | None = None
    """What it is declared to cost."""

    def grade(self, needs: int, context: int) -> int:
        """Tell whether it serves what needs that much: `CANNOT`, `MAYBE`, `CAN`."""
        if self.cannot & needs or (self.context is not None and self.context < context):
            return CANNOT
        is_unsure = needs & ~self.can or (self.context is None and context > ASSUMED_CONTEXT)
        return MAYBE if is_unsure else CAN

    def lacks(self, needs: int, context: int) -> list[str]:
        """Say what it lacks of that, in words."""
        found = [f"cannot do {name}" for bit, name in NAMES.items() if needs & self.cannot & bit]
        if self.context is not None and self.context < context:
            found.append(f"has {self.context} tokens of context, and {context} are needed")
        return found


def candidates_of(targets: Sequence[RouteTarget], settings: Settings, facts: Facts) -> tuple[Candidate, ...]:
    """Return targets with what is known of them; reads the headers of this machine's models, and prices."""
    local = {model.id: model for model in settings.local.models}
    return tuple(_candidate(one, settings, local, facts) for one in targets)


def shape_for(shape: Shape, needs: int, context: int | None) -> Shape:
    """Return a request's shape with what its route takes every request to need."""
    prompt = max(shape.prompt, (context or 0) - (shape.longest or 0))
    return Shape(prompt, shape.longest, shape.needs | needs) if needs or context else shape


def bits(tools: bool | None, vision: bool | None, json_schema: bool | None, value: bool) -> int:
    """Return the bits of what is declared to be `value`."""
    flags = ((tools, TOOLS), (vision, VISION), (json_schema, JSON_SCHEMA))
    return sum(bit for flag, bit in flags if flag is value)


def _candidate(
    one: RouteTarget, settings: Settings, local: Mapping[str, LocalModel], facts: Facts
) -> Candidate:
    target, declared = one.target, one.conditions
    if target.provider == NODE:
        price_as = NODE
        known = _known_local(local.get(target.model))
    else:
        price_as = settings.providers[target.provider].price_as or ""
        known = facts.look_up(price_as, target.model, UNKNOWN)
    can, cannot = 0, 0
    if known.abilities is not None:
        has = (known.abilities.__contains__("tools"), known.abilities.__contains__("vision"))
        can, cannot = bits(*has, None, True), bits(*has, None, False)
    says = (declared.tools, declared.vision, declared.json_schema)
    can, cannot = can & ~bits(*says, False), cannot & ~bits(*says, True)
    return Candidate(
        target=target,
        weight=one.weight,
        is_own=price_as == NODE,
        context=declared.context or known.context,
        can=can | bits(*says, True),
        cannot=cannot | bits(*says, False),
        price_as=price_as,
        price=one.price,
    )


def _known_local(model: LocalModel | None) -> KnownModel:
    """Return what the file of a model of this machine says; nothing where it cannot be read."""
    if model is None:
        return KnownModel()
    try:
        file = inspect(Path(model.path))
    except ConfigurationError:
        return KnownModel(model.context)
    limits = [limit for limit in (model.context, file.context) if limit]
    return KnownModel(min(limits, default=None), file.abilities)

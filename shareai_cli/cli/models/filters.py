"""Which of the models are wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, get_args

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.errors import UsageError
from shareai_cli.types import NODE, Ability, ModelInfo

if TYPE_CHECKING:
    from shareai_cli.config import Settings

NANO: Final = 10**9

_ABILITIES: Final[tuple[Ability, ...]] = get_args(Ability)
_TOKENS = re.compile(r"(\d{1,12})([kKmM]?)")
_UNITS: Final = {"": 1, "k": 1000, "m": 1_000_000}


class Filter(Struct, frozen=True):
    """What a model has to be. What is not known of it, it is not."""

    words: tuple[str, ...] = ()
    """All in its name, or in one of a route's targets; large or small."""
    providers: tuple[str, ...] = ()
    """Its provider is one of these."""
    route: str | None = None
    """It is this route, or one of its targets."""
    local: bool = False
    abilities: tuple[Ability, ...] = ()
    context: int | None = None
    """Tokens, at least."""
    max_price: float | None = None
    """US dollars for a million tokens, of prompts and of answers alike."""

    def apply(self, models: Sequence[ModelInfo]) -> list[ModelInfo]:
        """Return those that are wanted, in their order."""
        targets: tuple[str, ...] = ()
        if self.route is not None:
            targets = next((one.targets for one in models if _is_route(one, self.route)), ())
        return [one for one in models if self._is_wanted(one, targets)]

    def narrow(self, settings: Settings) -> Settings:
        """Leave out the providers that have nothing of what is wanted, and the routes that name them."""
        names = set(settings.providers)
        if self.local:
            names = set()
        elif self.providers:
            names &= set(self.providers)
        elif self.route is not None:
            names &= {one.target.provider for one in settings.routes[self.route].targets}
        if len(names) == len(settings.providers):
            return settings
        return replace(
            settings,
            providers={name: one for name, one in settings.providers.items() if name in names},
            routes={
                name: route for name, route in settings.routes.items()
                if all(one.target.provider in (*names, NODE) for one in route.targets)
            },
        )  # fmt: skip

    def _is_wanted(self, model: ModelInfo, targets: Sequence[str]) -> bool:
        return (
            all(self._is_named(model, word.casefold()) for word in self.words)
            and (not self.providers or model.provider in self.providers)
            and (self.route is None or _is_route(model, self.route) or model.id in targets)
            and (not self.local or model.kind == "local")
            and set(self.abilities) <= set(model.abilities or ())
            and (self.context is None or (model.context or 0) >= self.context)
            and (self.max_price is None or _costs_at_most(model, self.max_price))
        )

    def _is_named(self, model: ModelInfo, word: str) -> bool:
        names = (model.id, *model.targets) if model.kind == "route" else (model.id,)
        return any(word in name.casefold() for name in names)


def parse_abilities(names: Sequence[str]) -> tuple[Ability, ...]:
    """Check names of abilities; raises `UsageError`."""
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import suggestion

    for name in names:
        if name not in _ABILITIES:
            raise UsageError(f"--ability: {shown(name)} is not known.", hint=suggestion(name, _ABILITIES))
    return tuple(ability for ability in _ABILITIES if ability in names)


def parse_tokens(text: str) -> int:
    """Read a number of tokens: 32000, 128k, 1M; raises `UsageError`."""
    found = _TOKENS.fullmatch(text.strip())
    if found is None:
        raise UsageError("--context should be a number of tokens.", hint="32000, 128k or 1M")
    return int(found[1]) * _UNITS[found[2].lower()]


def _is_route(model: ModelInfo, name: str) -> bool:
    return model.kind == "route" and model.id == name


def _costs_at_most(model: ModelInfo, dollars: float) -> bool:
    """Tell whether no known price is above, and the one of prompts is known: some models have no answers."""
    prices = [price for price in (model.prompt_nano, model.completion_nano) if price is not None]
    return model.prompt_nano is not None and all(price <= dollars * NANO for price in prices)

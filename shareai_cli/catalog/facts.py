"""What is known of models: what their provider tells, else what this package knows, else nothing.

Prices come from where the accounts have them, the context from there too where the provider does not tell it.
What a family can do is what its makers document: platform.openai.com/docs/models,
docs.claude.com/en/docs/about-claude/models, ai.google.dev/gemini-api/docs/models, docs.x.ai/docs/models,
api-docs.deepseek.com, qwenlm.github.io, llama.com/docs.
"""

from __future__ import annotations

import re
import time
from typing import Final

from msgspec import Struct

from shareai_cli.catalog.listing import ModelFacts
from shareai_cli.catalog.prices import PriceBook, TokenPrice
from shareai_cli.types import NODE, Ability, Usage, WallClock

_ALL: Final[tuple[Ability, ...]] = ("tools", "vision", "reasoning")

_FAMILIES: Final[tuple[tuple[re.Pattern[str], tuple[Ability, ...] | None], ...]] = tuple(
    (re.compile(pattern), abilities)
    for pattern, abilities in (
        (r".*embed|voyage-\d|bge-|e5-", ("embeddings",)),
        # Of the families below, those that hear, speak, draw or only sort: nothing is said of them.
        (r".*-(audio|realtime|transcribe|tts|image|search|live|guard|safeguard|deep-research)\b", None),
        (r"(chatgpt-4o|gpt-5(\.\d)?-chat)", ("vision",)),
        (r"gpt-5|o[1-9]-pro|o1$|o1-20|o3$|o3-20|o4", _ALL),
        (r"o3-mini|gpt-oss", ("tools", "reasoning")),
        (r"gpt-4-vision|llama-3\.2-\d+b-vision", ("vision",)),
        (r"gpt-4o|gpt-4\.|gpt-4-turbo", ("tools", "vision")),
        (r"gpt-4|gpt-3\.5-turbo($|-\d{4}$|-16k)", ("tools",)),
        (r"claude-(opus|sonnet|haiku)-[4-9]|claude-3[-.]7|claude-[4-9]", _ALL),
        (r"claude-3", ("tools", "vision")),
        (r"gemini-(2\.5|[3-9])", _ALL),
        (r"gemini-(1\.5|2\.0)", ("tools", "vision")),
        (r"grok-[4-9].*non-reasoning", ("tools", "vision")),
        (r"grok-[4-9]", _ALL),
        (r"grok-3-mini", ("tools", "reasoning")),
        (r"grok-3|deepseek-chat", ("tools",)),
        (r"deepseek-(reasoner|r1)|qwq", ("reasoning",)),
        (r"llama-4", ("tools", "vision")),
        (r"llama-?3\.[1-3]|qwen-?2\.5-(?!vl)", ("tools",)),
        (r"qwen-?3-(?!vl|coder|next)", ("tools", "reasoning")),
    )
)
"""Matched from the beginning of a name, the first one counts; a family that is not here is unknown."""


class KnownModel(Struct, frozen=True):
    """What is known of a model; None is unknown."""

    context: int | None = None
    abilities: tuple[Ability, ...] | None = None
    price: TokenPrice = TokenPrice()


class FactBook:
    """Knows models by their providers; its first answer takes a quarter of a second, to load the prices."""

    def __init__(self, wall_clock: WallClock = time.time) -> None:
        self._wall_clock = wall_clock
        self._prices: PriceBook | None = None

    def __repr__(self) -> str:
        return f"<FactBook {self._prices!r}>"

    def look_up(self, price_as: str, model: str, told: ModelFacts) -> KnownModel:
        """Return what is known of a model, `told` being what its provider says of it.

        `price_as` is the provider's name among the prices; empty where it has none.
        """
        abilities = told.abilities if told.abilities is not None else family_abilities(model)
        if price_as == NODE:
            return KnownModel(told.context, abilities, TokenPrice(0, 0))
        if not price_as:
            return KnownModel(told.context, abilities)
        if self._prices is None:
            self._prices = PriceBook()
        price = self._prices.token_price(price_as, model, int(self._wall_clock() * 1000))
        context = told.context if told.context is not None else self._prices.context(price_as, model)
        return KnownModel(context, abilities, price)

    def cost_nano(self, price_as: str, model: str, usage: Usage) -> int | None:
        """Return what tokens cost now, in nano-dollars; None where no price is known."""
        if self._prices is None:
            self._prices = PriceBook()
        return self._prices.cost_nano(price_as, model, usage, int(self._wall_clock() * 1000))


def family_abilities(model: str) -> tuple[Ability, ...] | None:
    """Return what the family of a model can do, by its name without the organisation; None if unknown."""
    name = model.rpartition("/")[2].lower()
    return next((abilities for pattern, abilities in _FAMILIES if pattern.match(name)), None)

"""What models cost, out of genai-prices, which carries some fifty providers' prices. Nothing is downloaded.

A calculation of its own takes 150 us. A model's price is linear in each kind of token while the prompt stays
within one tier, so it is asked once for each tier; the rest is integer arithmetic with the same result.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from shareai_cli.types import Usage

MOST_MODELS: Final = 4096
"""Looked-up models kept in memory; clients can make up names."""

FREE: Final = ":free"
"""How OpenRouter's names end of models that cost nothing."""

_MILLION: Final = 10**6
_PARTS: Final = 10**18
"""Parts of a nano-dollar, so that the price of a single token is a whole number of them."""


class _Rates(Struct, frozen=True):
    """Prices of one tier, for one token of each kind, in parts of a nano-dollar."""

    above: int
    """The tier's prompts have more tokens than this."""
    request: int
    prompt: int
    cached: int
    cache_write: int
    completion: int
    reasoning: int


_NOTHING: Final = _Rates(-1, 0, 0, 0, 0, 0, 0)


class TokenPrice(Struct, frozen=True):
    """Nano-dollars for a million tokens of a prompt and of its answer; None where none is known.

    Where long prompts cost more, these are the prices of short ones.
    """

    prompt_nano: int | None = None
    completion_nano: int | None = None


class _Model:
    """One model's prices over time."""

    __slots__ = ("_info", "_rates", "_steady")

    def __init__(self, info: Any) -> None:
        self._info = info
        self._rates: dict[int, tuple[_Rates, ...]] = {}
        self._steady: tuple[_Rates, ...] | None = None

    @property
    def context(self) -> int | None:
        """Tokens of context, where they are known."""
        context: int | None = self._info.context_window
        return context

    def price(self, time_ms: int) -> TokenPrice:
        """Return the prices that were in force: read, which is far less work than their tiers are."""
        prices = _set_prices(self._at(time_ms))
        if not prices and _free(self._info):
            return TokenPrice(0, 0)
        return TokenPrice(_million(prices.get("input_mtok")), _million(prices.get("output_mtok")))

    def tiers(self, time_ms: int) -> tuple[_Rates, ...]:
        """Return the tiers that were in force, the highest first; none where tokens have no price."""
        if self._steady is not None:
            return self._steady
        price = self._at(time_ms)
        if price is self._info.prices:
            self._steady = _tiers(price) or _free(self._info)
            return self._steady
        tiers = self._rates.get(id(price))  # prices live as long as the model that holds them
        if tiers is None:
            tiers = self._rates[id(price)] = _tiers(price)
        return tiers

    def _at(self, time_ms: int) -> Any:
        if not isinstance(self._info.prices, list):
            return self._info.prices
        return self._info.get_prices(datetime.fromtimestamp(time_ms / 1000, UTC))


class PriceBook:
    """Knows what tokens cost. Making one imports genai-prices, which takes a quarter of a second."""

    def __init__(self) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self._snapshot = get_snapshot()
        self._models: dict[tuple[str, str], _Model | None] = {}

    def __repr__(self) -> str:
        return f"<PriceBook [models asked for: {len(self._models)}]>"

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        """Return nano-dollars, rounded half up; None where no price is known.

        `price_as` is a provider of genai-prices, `model` the model as that provider calls it, `time_ms` when
        it was asked.
        """
        found = self._find(price_as, model)
        if found is None:
            return None
        try:
            tiers = found.tiers(time_ms)
        except (OverflowError, ValueError, OSError):
            return None  # no clock shows such a time
        prompt = usage.prompt + usage.cached + usage.cache_write
        for rates in tiers:
            if prompt > rates.above:
                return _cost(rates, usage)
        return None

    def token_price(self, price_as: str, model: str, time_ms: int) -> TokenPrice:
        """Return what tokens cost, by the same prices as `cost_nano`."""
        found = self._find(price_as, model)
        return found.price(time_ms) if found is not None else TokenPrice()

    def context(self, price_as: str, model: str) -> int | None:
        """Return how many tokens of context a model has; None where nobody says."""
        found = self._find(price_as, model)
        return found.context if found is not None else None

    def _find(self, price_as: str, model: str) -> _Model | None:
        try:
            return self._models[price_as, model]
        except KeyError:
            return self._look_up(price_as, model)

    def _look_up(self, price_as: str, model: str) -> _Model | None:
        if len(self._models) >= MOST_MODELS:
            self._models.clear()
        try:
            provider = self._snapshot.find_provider(None, price_as, None)
            # Not the snapshot's own look-up, which remembers every name that it was ever asked for.
            info = provider.find_model(model.lower(), all_providers=self._snapshot.providers)
            found = _Model(info) if info is not None else None
        except (LookupError, ValueError):
            found = None
        self._models[price_as, model] = found
        return found


def known_models(price_as: str) -> Collection[str]:
    """Return the models of a provider of genai-prices that are not withdrawn; none of an unknown one."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider = get_snapshot().find_provider(None, price_as, None)
    except LookupError:
        return ()
    return [info.id for info in provider.models if not info.deprecated]


def _cost(rates: _Rates, usage: Usage) -> int:
    parts = (
        rates.request
        + rates.prompt * usage.prompt
        + rates.cached * usage.cached
        + rates.cache_write * usage.cache_write
        + rates.completion * usage.completion
        + rates.reasoning * usage.reasoning
    )
    return (2 * parts + _PARTS) // (2 * _PARTS)


def _tiers(price: Any) -> tuple[_Rates, ...]:
    """Ask a price of genai-prices for its rates in every tier."""
    from genai_prices.types import ModelPrice, TieredPrices

    prices = _set_prices(price)
    if "input_mtok" not in prices and "output_mtok" not in prices:
        return ()  # priced by the hour, page or picture: tokens alone do not tell
    starts = {
        tier.start for value in prices.values() if isinstance(value, TieredPrices) for tier in value.tiers
    }
    return tuple(
        _rates(start, ModelPrice(**{key: _within(value, start) for key, value in prices.items()}))
        for start in sorted({-1, *starts}, reverse=True)
    )


def _free(info: Any) -> tuple[_Rates, ...]:
    """Return the rates of a model that costs nothing, by its name: no prices alone may be unknown ones."""
    is_free = info.id.endswith(FREE) and not isinstance(info.prices, list) and not _set_prices(info.prices)
    return (_NOTHING,) if is_free else ()


def _set_prices(price: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(price).items() if value is not None}


def _million(price: Any) -> int | None:
    """Return a price of a million tokens in nano-dollars, of short prompts where there are tiers."""
    return int(_within(price, -1) * 10**9) if price is not None else None


def _within(price: Any, start: int) -> Decimal:
    """Return the price that holds for prompts just above `start`."""
    if isinstance(price, Decimal):
        return price
    applicable: Decimal = price.base
    for tier in price.tiers:
        if start >= tier.start:
            applicable = tier.price
    return applicable


def _rates(above: int, price: Any) -> _Rates:
    from genai_prices import Usage as Counts

    def rate(**counts: int) -> int:
        total: Decimal = price.calc_price(Counts(**counts))["total_price"]
        return int(total * 10**9 * _PARTS)

    request = rate()

    def token(**counts: int) -> int:
        return (rate(**counts) - request) // _MILLION

    return _Rates(
        above=above,
        request=request,
        prompt=token(input_tokens=_MILLION),
        cached=token(input_tokens=_MILLION, cache_read_tokens=_MILLION),
        cache_write=token(input_tokens=_MILLION, cache_write_tokens=_MILLION),
        completion=token(output_tokens=_MILLION),
        reasoning=token(output_tokens=_MILLION, output_reasoning_tokens=_MILLION),
    )

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from genai_prices import Usage as Counts
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.catalog.prices import FREE, MOST_MODELS, PriceBook, TokenPrice, known_models
from shareai_cli.types import NODE, Usage

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def in_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def reference(provider: Any, model: Any, usage: Usage, moment: datetime) -> int:
    """Return what genai-prices itself works out, in nano-dollars."""
    counts = Counts(
        input_tokens=usage.prompt + usage.cached + usage.cache_write,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.completion + usage.reasoning,
        output_reasoning_tokens=usage.reasoning,
    )
    price = model.calc_price(counts, provider, genai_request_timestamp=moment).total_price
    return int((price * 10**9).quantize(Decimal(1), ROUND_HALF_UP))


def own_models() -> Iterator[tuple[Any, Any]]:
    """Yield provider and model wherever the model's id means this model and no other."""
    snapshot = get_snapshot()
    for provider in snapshot.providers:
        for model in provider.models:
            if provider.find_model(model.id.lower(), all_providers=snapshot.providers) is model:
                yield provider, model


def has_token_prices(model: Any) -> bool:
    return bool({"input_mtok", "output_mtok"} & set(vars(model.get_prices(NOW))))


def some_usage(dice: random.Random) -> Usage:
    """Return counts of any size, at and around the ends of tiers more often than chance would have it."""
    edge = dice.choice((32_000, 128_000, 200_000, 256_000, 272_000)) + dice.choice((-1, 0, 1))
    cached = dice.choice((0, dice.randrange(10_000)))
    written = dice.choice((0, dice.randrange(10_000)))
    prompt = dice.choice((0, dice.randrange(3000), dice.randrange(2_000_000), edge - cached - written))
    return Usage(prompt, cached, written, dice.randrange(20_000), dice.choice((0, dice.randrange(9000))))


def test_costs_are_those_of_genai_prices() -> None:
    """For every model that is priced by tokens, over random counts and times, to the nano-dollar."""
    dice = random.Random(17)
    book = PriceBook()
    compared = tiered = 0
    for provider, model in own_models():
        if not has_token_prices(model):
            continue
        has_tiers = any(isinstance(value, TieredPrices) for value in vars(model.get_prices(NOW)).values())
        for _ in range(6 if has_tiers else 1):
            usage = some_usage(dice)
            moment = NOW - timedelta(hours=dice.randrange(2 * 365 * 24))
            found = book.cost_nano(provider.id, model.id, usage, in_ms(moment))
            assert found == reference(provider, model, usage, moment), (provider.id, model.id, usage, moment)
            compared += 1
            tiered += has_tiers
    assert compared > 1500
    assert tiered > 300


def test_a_price_that_changed_is_the_one_of_its_time() -> None:
    """Requests are billed by what was in force when they came."""
    dated = [(provider, model) for provider, model in own_models() if isinstance(model.prices, list)]
    book = PriceBook()
    usage = Usage(prompt=1_000_000, completion=1_000_000)
    changed = 0
    moments = [NOW - timedelta(days=30 * age) for age in range(36)]
    for provider, model in dated:
        if not has_token_prices(model):
            continue
        found = [book.cost_nano(provider.id, model.id, usage, in_ms(moment)) for moment in moments]
        assert found == [reference(provider, model, usage, moment) for moment in moments]
        changed += len(set(found)) > 1
    assert changed > 3


def test_what_is_not_known_has_no_cost() -> None:
    """An unknown model, an unknown provider and none at all give no number."""
    book = PriceBook()
    usage = Usage(prompt=5)
    assert book.cost_nano("openai", "no-such-model-at-all", usage, in_ms(NOW)) is None
    assert book.cost_nano("no-such-provider", "gpt-4o", usage, in_ms(NOW)) is None
    assert book.cost_nano("", "", usage, in_ms(NOW)) is None
    assert book.cost_nano("openai", "gpt-4o", usage, in_ms(NOW)) is not None


def test_a_model_priced_by_other_things_than_tokens_has_no_cost() -> None:
    """Speech by the hour and pictures by the piece are unknown, never a silent zero."""
    book = PriceBook()
    found = [
        book.cost_nano(provider.id, model.id, Usage(prompt=5), in_ms(NOW))
        for provider, model in own_models()
        if not has_token_prices(model) and not model.id.endswith(FREE)
    ]
    assert found
    assert set(found) == {None}


def test_a_free_model_costs_nothing_and_that_is_known() -> None:
    """Its name says so, and genai-prices knows it without a price."""
    book = PriceBook()
    usage = Usage(10, 20, 5, 7, 3)
    assert book.cost_nano("openrouter", "deepseek/deepseek-r1:free", usage, in_ms(NOW)) == 0
    assert book.cost_nano("openrouter", "no-such-maker/no-such-model:free", usage, in_ms(NOW)) is None


def test_made_up_models_do_not_fill_the_memory() -> None:
    """A client that asks for ever new names costs a bounded table."""
    book = PriceBook()
    for number in range(MOST_MODELS + 100):
        assert book.cost_nano("groq", f"made-up-{number}", Usage(prompt=1), in_ms(NOW)) is None
    assert repr(book) == "<PriceBook [models asked for: 100]>"


@pytest.mark.parametrize("name", [one.name for one in PRESETS.values() if one.price_as not in ("", NODE)])
def test_every_preset_has_prices(name: str) -> None:
    """The name that a preset's prices go by is a provider of genai-prices, and its models have prices."""
    models = known_models(PRESETS[name].price_as)
    assert len(models) > 1
    book, price_as = PriceBook(), PRESETS[name].price_as

    def is_priced(model: str) -> bool:
        # Fireworks' models go by longer names than its list of prices has.
        names = (model, f"accounts/{price_as}/models/{model}")
        return any(
            book.cost_nano(price_as, one, Usage(prompt=10**6), in_ms(NOW)) is not None for one in names
        )

    assert sum(map(is_priced, models)) > len(models) / 2


def test_an_unknown_provider_offers_nothing() -> None:
    """Neither does the empty name of one without prices."""
    assert list(known_models("no-such-provider")) == []
    assert list(known_models("")) == []


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices come out of the package: no connection is even tried."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert PriceBook().cost_nano("openai", "gpt-4o", Usage(prompt=1), int(time.time() * 1000)) is not None
    assert known_models("openai")


def test_a_tokens_price_is_what_the_accounts_would_say() -> None:
    """Of every model that has one: a million tokens of each kind, each in prompts too short for a tier."""
    book, checked = PriceBook(), 0
    time_ms = in_ms(NOW)
    for provider, model in own_models():
        price = book.token_price(provider.id, model.id, time_ms)
        request = book.cost_nano(provider.id, model.id, Usage(), time_ms)
        for nano, usage in (
            (price.prompt_nano, Usage(prompt=1000)),
            (price.completion_nano, Usage(completion=1000)),
        ):
            cost = book.cost_nano(provider.id, model.id, usage, time_ms)
            if nano is None or cost is None or request is None:
                continue
            assert abs(nano - (cost - request) * 1000) <= 1000, (provider.id, model.id)
            checked += 1
    assert checked > 1000


def test_what_has_no_price_has_an_unknown_one() -> None:
    """Never zero, but for what is free by its name; the same goes for the context."""
    book, time_ms = PriceBook(), in_ms(NOW)
    for provider, model in (("openai", "no-such-model"), ("nobody", "gpt-5-mini"), ("", "")):
        assert book.token_price(provider, model, time_ms) == TokenPrice(None, None)
        assert book.context(provider, model) is None
    free = next(one for one in known_models("openrouter") if one.endswith(FREE))
    assert book.token_price("openrouter", free, time_ms) == TokenPrice(0, 0)
    assert book.token_price("openai", "gpt-5-mini", time_ms) == TokenPrice(250_000_000, 2_000_000_000)
    assert book.context("openai", "gpt-5-mini") == 400_000

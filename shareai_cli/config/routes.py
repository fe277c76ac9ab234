"""Reads `[routes.NAME]`: a route, its targets, and the conditions on both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast, get_args

from msgspec.structs import replace

from shareai_cli.config.caching import read_cache
from shareai_cli.config.hedging import read_hedge
from shareai_cli.config.reading import KeyPath, Source, Table, kind_of, shown
from shareai_cli.config.sections import ROUTE_NAME, parse_target
from shareai_cli.config.settings import (
    ANY,
    PLAIN,
    Conditions,
    OwnPrice,
    ProviderSettings,
    RouteSettings,
    RouteTarget,
    Strategy,
)
from shareai_cli.errors import ConfigurationError
from shareai_cli.nearest import nearest
from shareai_cli.overrides import HEAVIEST
from shareai_cli.secrets import looks_like_key
from shareai_cli.types import NODE, Preference

MOST_TARGETS: Final = 2_000
MOST_TOKENS: Final = 1 << 30
HIGHEST_PRICE: Final = 1_000_000.0
"""US dollars for a million tokens."""

_CONDITIONS: Final = Conditions.__struct_fields__
_PRICE: Final = ("prompt", "completion")


def read_route(
    source: Source, name: str, value: object, providers: Mapping[str, ProviderSettings]
) -> RouteSettings:
    """Check one route and that its targets' providers are known; raises `ConfigurationError`."""
    path: KeyPath = ("routes", name)
    if not ROUTE_NAME.fullmatch(name) or looks_like_key(name):
        raise source.error(path, "a route's name has letters, digits and . _ : -, at most 128, no slash.")
    table = Table(
        source,
        path,
        value,
        ("strategy", "targets", "prefer", "private", "fit", "cache", "hedge", *_CONDITIONS),
    )
    strategy = cast(Strategy, table.choice("strategy", "priority", get_args(Strategy)))
    items = table.items("targets", most=MOST_TARGETS)
    if not items:
        raise source.error(path, "a route needs at least one target.", hint='targets = ["openai/gpt-5-mini"]')
    targets: dict[str, RouteTarget] = {}
    for index, item in enumerate(items):
        place: KeyPath = (*path, "targets", index)
        target = _target(source, place, item, providers)
        if target.target.name in targets:
            raise source.error(place, f"{shown(target.target.name)} is there twice.")
        targets[target.target.name] = target
    route = RouteSettings(
        name,
        strategy,
        tuple(targets.values()),
        prefer=cast("Preference | None", table.choice("prefer", None, get_args(Preference))),
        private=table.flag("private", False),
        conditions=_conditions(table),
        cache=read_cache(table),
        hedge=read_hedge(table),
    )
    if route.private and not any(is_own(one.target.provider, providers) for one in route.targets):
        raise table.error(
            "private",
            "none of its targets is a machine of your own, so no request could go anywhere.",
            hint='targets = ["node/MODEL"], or a provider with price_as = "node"',
        )
    has_conditions = any(one != ANY for one in (route.conditions, *(it.conditions for it in route.targets)))
    return replace(route, fit=table.flag("fit", has_conditions or strategy not in PLAIN))


def is_own(provider: str, providers: Mapping[str, ProviderSettings]) -> bool:
    """Tell whether a provider is this machine, or an engine that is priced like it: at nothing."""
    settings = providers.get(provider)
    return provider == NODE or (settings is not None and settings.price_as == NODE)


def _target(
    source: Source, path: KeyPath, item: object, providers: Mapping[str, ProviderSettings]
) -> RouteTarget:
    weight, conditions, price = 1, ANY, None
    if isinstance(item, dict):
        table = Table(source, path, item, ("target", "weight", "price", *_CONDITIONS))
        weight = table.integer("weight", 1, least=1, most=HEAVIEST)
        conditions, price = _conditions(table), _price(table)
        item = table.text("target", "")
    if not isinstance(item, str):
        raise source.error(
            path,
            f"should be a text, and is {kind_of(item)}.",
            hint='"provider/model" or {target = "provider/model", weight = 3}',
        )
    try:
        target = parse_target(item)
    except ConfigurationError as error:
        raise source.error(path, error.message, hint=error.hint) from None
    known = [*providers, NODE]
    if target.provider not in known:
        near = nearest(target.provider, known)
        raise source.error(
            path,
            f"there is no provider {shown(target.provider)}.",
            hint=f"Did you mean {near}?" if near else f"Known: {', '.join(known[:20])}.",
        )
    return RouteTarget(target, weight, conditions, price)


def _conditions(table: Table) -> Conditions:
    """Read the conditions of a target or route; what is not said goes by what is known."""

    def flag(key: str) -> bool | None:
        return table.flag(key, False) if table.has(key) else None

    return Conditions(
        table.integer("context", None, least=1, most=MOST_TOKENS),
        flag("tools"),
        flag("vision"),
        flag("json_schema"),
    )


def _price(table: Table) -> OwnPrice | None:
    """Read `price = {prompt = 0.1, completion = 0.4}`, US dollars for a million tokens."""
    if not table.has("price"):
        return None
    price = table.table("price", _PRICE)
    for key in _PRICE:
        if not price.has(key):
            raise price.error(key, "is missing.", hint="price = {prompt = 0.1, completion = 0.4}")
    prompt, completion = (
        round(price.number(key, 0.0, least=0.0, most=HIGHEST_PRICE) * 10**9) for key in _PRICE
    )
    return OwnPrice(prompt, completion)

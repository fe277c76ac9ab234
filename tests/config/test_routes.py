"""What a route says beside its list: conditions, prices, whom it prefers and whom it never leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import Conditions, OwnPrice, RouteSettings, load_text
from shareai_cli.config.describe import describe_route
from shareai_cli.errors import ConfigurationError

FILE = Path("/home/somebody/config.toml")
CLOUD = "[providers.openai]\n[providers.lan]\nbase_url = 'http://10.0.0.2/v1'\nprice_as = 'node'\n"


def read(text: str) -> RouteSettings:
    return load_text(f"{CLOUD}[routes.a]\n{text}", FILE, {}, PRESETS).routes["a"]


def test_everything_that_a_route_and_a_target_can_say() -> None:
    """Prices are US dollars for a million tokens; what is not said is unknown."""
    route = read(
        "strategy = 'cheapest'\nprefer = 'own'\nprivate = true\ncontext = 9000\ntools = true\n"
        "targets = ['openai/x', {target = 'node/y', weight = 3, context = 8192, tools = true, "
        "vision = false, json_schema = true, price = {prompt = 0.05, completion = 1}}]"
    )
    assert (route.strategy, route.prefer, route.private, route.fit) == ("cheapest", "own", True, True)
    assert route.conditions == Conditions(9000, True)
    first, second = route.targets
    assert (first.conditions, first.price) == (Conditions(), None)
    assert second.conditions == Conditions(8192, True, False, True)
    assert second.price == OwnPrice(50_000_000, 1_000_000_000)
    described = json.loads(json.dumps(describe_route(route)))
    assert described["targets"][1]["price"] == {"prompt": 0.05, "completion": 1.0}
    assert described["targets"][0] == {"target": "openai/x", "weight": 1}
    assert described["tools"] is True
    assert "vision" not in described


@pytest.mark.parametrize(
    ("text", "is_plain", "fit"),
    [
        ("targets = ['node/x']", True, False),
        ("strategy = 'weighted'\ntargets = ['node/x']", True, False),
        ("fit = true\ntargets = ['node/x']", False, True),
        ("prefer = 'cloud'\ntargets = ['node/x']", False, False),
        ("private = true\ntargets = ['lan/x']", False, False),
        ("targets = [{target = 'node/x', vision = false}]", False, True),
        ("json_schema = true\ntargets = ['node/x']", False, True),
        ("strategy = 'sticky'\ntargets = ['node/x']", False, True),
        ("strategy = 'fastest'\nfit = false\ntargets = ['node/x']", False, False),
    ],
)
def test_requests_are_matched_where_the_route_goes_by_more_than_its_list(
    text: str, is_plain: bool, fit: bool
) -> None:
    """Conditions and the strategies that look at requests have them matched, unless `fit` says otherwise."""
    route = read(text)
    assert (route.is_plain, route.fit) == (is_plain, fit)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("prefer = 'mine'\ntargets = ['node/x']", 6, "It takes own or cloud."),
        ("private = 1\ntargets = ['node/x']", 6, "should be true or false"),
        ("private = true\ntargets = ['openai/x']", 6, "none of its targets is a machine of your own"),
        ("targets = [{target = 'node/x', context = 0}]", 6, "from 1 to"),
        ("targets = [{target = 'node/x', tools = 'yes'}]", 6, "should be true or false"),
        ("targets = [{target = 'node/x', price = 3}]", 6, "price: should be a table, and is a number"),
        ("targets = [{target = 'node/x', price = {prompt = 1}}]", 6, "price.completion: is missing"),
        ("targets = [{target = 'node/x', price = {prompt = -1, completion = 1}}]", 6, "from 0 to 1e+06"),
        ("targets = [{target = 'node/x', private = true}]", 6, "private: unknown key"),
    ],
)
def test_a_mistake_names_its_line_and_what_it_takes(text: str, line: int, says: str) -> None:
    """As everywhere in the file."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert f"{FILE}, line {line}: " in str(caught.value)
    assert says in str(caught.value)

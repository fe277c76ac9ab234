"""What a model's name means, and in which order its targets are tried."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from shareai_cli.config import RouteSettings, RouteTarget
from shareai_cli.gateway.health import SERVING, Standing, State
from shareai_cli.gateway.router import Plan, choose, named_plan, offered_plan, unknown_model
from shareai_cli.types import Target

A, B, C = (Target(name, "m") for name in "abc")
ROUTES = {"chat": RouteSettings("chat", "priority", (RouteTarget(A), RouteTarget(B)))}


def plan(strategy: str = "priority", weights: tuple[int, ...] = (1, 1, 1)) -> Plan:
    return Plan("chat", strategy, tuple(map(RouteTarget, (A, B, C), weights)))


def test_a_route_comes_before_everything() -> None:
    """A route's name means the route."""
    found = named_plan("chat", ROUTES, {"a", "b"})
    assert found == Plan("chat", "priority", (RouteTarget(A), RouteTarget(B)))


def test_a_providers_model_is_passed_on_unchecked() -> None:
    """Only the first slash separates: model ids have slashes of their own."""
    found = named_plan("a/meta/llama-3", ROUTES, {"a"})
    assert found is not None
    assert found.targets == (RouteTarget(Target("a", "meta/llama-3")),)


def test_a_name_whose_prefix_is_no_provider_is_a_bare_id() -> None:
    """`meta/llama-3` can be a model's own name."""
    assert named_plan("meta/llama-3", ROUTES, {"a"}) is None
    found = offered_plan("meta/llama-3", {"a": ["x"], "b": ["meta/llama-3"]})
    assert found is not None
    assert found.targets == (RouteTarget(Target("b", "meta/llama-3")),)


def test_a_bare_id_means_every_target_that_offers_it() -> None:
    """In the order in which the providers are given."""
    found = offered_plan("m", {"b": ["m"], "a": ["m", "n"], "c": ["n"]})
    assert found is not None
    assert [one.target for one in found.targets] == [B, A]
    assert offered_plan("k", {"b": ["m"]}) is None


@pytest.mark.parametrize(
    ("asked", "named"), [("chta", "'chat'"), ("gpt-4o-mni", "'gpt-4o-mini'"), ("opnai/x", "'openai'")]
)
def test_an_unknown_model_names_the_nearest(asked: str, named: str) -> None:
    """The refusal helps with a typing mistake."""
    error = unknown_model(asked, ["chat"], ["openai"], {"openai": ["gpt-4o-mini"]})
    assert named in str(error)
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")


def test_priority_is_the_order_of_the_list() -> None:
    """As configured, whatever chance says."""
    assert choose(plan(), lambda target: SERVING, random.random).targets == (A, B, C)


def test_weighted_sends_each_target_its_share_first() -> None:
    """Over many requests the first choice follows the weights, and every target stays in reach."""
    chance = random.Random(7).random
    choices = [choose(plan("weighted", (6, 3, 1)), lambda target: SERVING, chance) for _ in range(6000)]
    first = Counter(next(iter(choice.targets)) for choice in choices)
    assert first[A] / 6000 == pytest.approx(0.6, abs=0.03)
    assert first[B] / 6000 == pytest.approx(0.3, abs=0.03)
    assert all(set(choice.targets) == {A, B, C} for choice in choices)


def standings(**states: Standing) -> dict[Target, Standing]:
    return {Target(name, "m"): standing for name, standing in states.items()}


def test_targets_in_trouble_are_left_out_while_another_serves() -> None:
    """Ejected, cooling, put aside and probing targets are not asked; one on trial is."""
    known = standings(a=Standing(State.EJECTED, 5), b=Standing(State.TRIAL, 5), c=Standing(State.COOLING, 5))
    assert choose(plan(), known.__getitem__, random.random).targets == (B,)


def test_where_all_are_ejected_the_least_bad_are_used() -> None:
    """The one that would return first comes first; what cools or is put aside stays left alone."""
    known = standings(a=Standing(State.EJECTED, 9), b=Standing(State.PROBING, 5), c=Standing(State.ASIDE, 1))
    assert choose(plan(), known.__getitem__, random.random).targets == (B, A)


def test_where_nothing_is_left_it_is_said_when_something_returns() -> None:
    """So the refusal can carry Retry-After."""
    known = standings(
        a=Standing(State.COOLING, 9, "HTTP 429"),
        b=Standing(State.COOLING, 5, "HTTP 429"),
        c=Standing(State.ASIDE, 100, "HTTP 404"),
    )
    choice = choose(plan(), known.__getitem__, random.random)
    assert (choice.targets, choice.returns_at, choice.reason) == ((), 5, "HTTP 429")

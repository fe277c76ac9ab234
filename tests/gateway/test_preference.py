"""Keys that prefer own machines, or clouds: before what a route prefers, in every strategy."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shareai_cli.gateway.health import EJECT_AFTER
from shareai_cli.gateway.strategies.board import choose
from shareai_cli.gateway.strategies.candidates import Candidate
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.shape import Shape
from shareai_cli.types import NODE, Caller, Preference
from tests.gateway.strategies.boards import (
    STRATEGIES,
    board_of,
    candidate,
    made_up_candidates,
    names,
    patient,
    shapes,
)
from tests.gateway.test_strategies import NEVER, route
from tests.support.behaviours import model_list, status
from tests.support.clock import FakeClock
from tests.support.gateway import CALLER, KEY, FakeLedger, Gate, chat_body, key_digest
from tests.support.upstream import FaultUpstream

OWN_KEY, CLOUD_KEY = "sk-shareai-own", "sk-shareai-cloud"


def ledger() -> FakeLedger:
    """Return accounts with a plain key, one that prefers own machines, and one that prefers clouds."""
    ledger = FakeLedger()
    ledger.store.callers = {
        key_digest(KEY): CALLER,
        key_digest(OWN_KEY): Caller(8, "own", "default", prefer="own"),
        key_digest(CLOUD_KEY): Caller(9, "cloud", "default", prefer="cloud"),
    }
    return ledger


async def order(gate: Gate, model: str = "chat") -> list[str]:
    """Return who answers the plain key, the one for own machines, and the one for clouds."""
    answers = [await gate.send(chat_body(model), key=key) for key in (KEY, OWN_KEY, CLOUD_KEY)]
    assert [one.status for one in answers] == [200] * 3
    return [one.headers["x-shareai-target"].partition("/")[0] for one in answers]


@pytest.mark.parametrize("strategy", ["priority", "weighted", "cheapest", "fastest", "least-busy", "sticky"])
@pytest.mark.parametrize("preferred", [None, "own", "cloud"])
async def test_a_keys_preference_comes_before_the_routes(strategy: str, preferred: Preference | None) -> None:
    """Whatever the strategy; a key without one gets what the route prefers."""
    async with (
        FaultUpstream() as cloud,
        FaultUpstream() as own,
        Gate(
            {"cloud": cloud, "own": own},
            routes={"chat": route(strategy, "cloud/m", "own/m", prefer=preferred, fit=False)},
            price_as={"own": NODE},
            chance=NEVER,
            ledger=ledger(),
        ) as gate,
    ):
        plain, for_own, for_cloud = await order(gate)
        assert (for_own, for_cloud) == ("own", "cloud")
        assert preferred is None or plain == preferred


async def test_the_other_targets_stand_in() -> None:
    """A preference is an order: where none that is preferred can answer, the others do."""
    async with (
        FaultUpstream() as cloud,
        FaultUpstream([status(500)] * EJECT_AFTER) as own,
        Gate(
            {"cloud": cloud, "own": own},
            routes={"chat": ["cloud/m", "own/m"]},
            price_as={"own": NODE},
            ledger=ledger(),
        ) as gate,
    ):
        for _ in range(EJECT_AFTER):
            assert await order(gate) == ["cloud"] * 3
        assert len(own.completions) == EJECT_AFTER
        gate.pass_time(6)
        assert (await gate.send(chat_body(), key=OWN_KEY)).headers["x-shareai-target"] == "own/m"


async def test_a_bare_models_targets_are_preferred_too() -> None:
    """Everybody who offers it; a full name goes where it says."""
    async with (
        FaultUpstream(models=model_list("m")) as cloud,
        FaultUpstream(models=model_list("m")) as own,
        Gate({"cloud": cloud, "own": own}, price_as={"own": NODE}, ledger=ledger()) as gate,
    ):
        assert await order(gate, "m") == ["cloud", "own", "cloud"]
        assert await order(gate, "cloud/m") == ["cloud"] * 3


async def test_the_preferred_of_many_keep_their_order() -> None:
    """Among themselves, as the others do behind them."""
    async with (
        FaultUpstream() as cloud,
        FaultUpstream([status(500)] * 2) as own,
        Gate(
            {"cloud": cloud, "own": own},
            routes={"chat": ["cloud/1", "own/2", "cloud/3", "own/4"]},
            price_as={"own": NODE},
            ledger=ledger(),
        ) as gate,
    ):
        await gate.send(chat_body(), key=OWN_KEY)
        assert [one.target for one in gate.closed.attempts] == ["own/2", "own/4", "cloud/1"]


async def test_preferences_come_and_go_with_the_keys() -> None:
    """From the next request on, and they outlast a change of the configuration; without any nothing asks."""
    async with (
        FaultUpstream() as cloud,
        FaultUpstream() as own,
        Gate(
            {"cloud": cloud, "own": own}, routes={"chat": ["cloud/m", "own/m"]}, price_as={"own": NODE}
        ) as gate,
    ):
        gateway = gate.gateway
        target = "x-shareai-target"
        assert (await gate.ask()).headers[target] == "cloud/m"
        gateway.replace_keys({key_digest(KEY): replace(CALLER, prefer="own")})
        assert (await gate.ask()).headers[target] == "own/m"
        await gateway.replace(gate.settings)
        assert (await gate.ask()).headers[target] == "own/m"
        heeded = [gateway.current.heeds_preferences]
        gateway.replace_keys({key_digest(KEY): CALLER})
        heeded.append(gateway.current.heeds_preferences)
        assert heeded == [True, False]
        assert (await gate.ask()).headers[target] == "cloud/m"


@patient
@given(
    made_up_candidates(),
    st.sampled_from(STRATEGIES),
    st.sampled_from((None, "own", "cloud")),
    st.sampled_from(("own", "cloud")),
    shapes,
    st.randoms(use_true_random=False),
)
def test_a_choice_for_a_key_is_that_of_a_route_with_its_preference(
    candidates: list[Candidate],
    strategy: str,
    routes: Preference | None,
    keys: Preference,
    shape: Shape,
    chance: random.Random,
) -> None:
    """The very same order, out of one board for all keys."""
    state = chance.getstate()
    wanted = choose(shape, board_of(candidates, strategy, prefer=keys), None, None, chance.random)
    chance.setstate(state)
    board = board_of(candidates, strategy, prefer=routes)
    assert choose(shape, board, None, None, chance.random, keys) == wanted


def test_what_is_measured_moves_every_order() -> None:
    """Those of keys, too, which were made before."""
    clock = FakeClock()
    measurements = Measurements(clock)
    candidates = [candidate("a"), candidate("b"), candidate("c", is_own=True)]
    board = board_of(candidates, "least-busy", measurements=measurements, clock=clock)
    assert names(board, list(board.order_for("own").places(Shape(1), None, NEVER))) == "cab"
    measurements.of(candidates[0].target).in_flight = 2
    board.changed(candidates[0].target)
    assert names(board, list(board.order_for("own").places(Shape(1), None, NEVER))) == "cba"
    assert names(board, list(board.order_for(None).places(Shape(1), None, NEVER))) == "bca"

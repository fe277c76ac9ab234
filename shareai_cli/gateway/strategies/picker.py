"""Picks the targets of requests on routes that go by more than their list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from shareai_cli.config import RouteSettings, Settings
from shareai_cli.gateway.exchange import Choice, Exchange
from shareai_cli.gateway.health import Health
from shareai_cli.gateway.router import Plan
from shareai_cli.gateway.strategies.board import Board, StandingOf, able, choose
from shareai_cli.gateway.strategies.candidates import Facts, candidates_of
from shareai_cli.gateway.strategies.measurements import Flight, FollowedTargets, Measurements
from shareai_cli.gateway.strategies.orders import Chance
from shareai_cli.gateway.strategies.shape import conversation_of, shape_of
from shareai_cli.types import Clock, Target

NobodyAnswers = Callable[[str, Iterable[Target]], Choice]
"""Chooses among targets none of which stands well, under the route's name."""

HASH_RANGE = 1 << 128


class Picker:
    """Picks the targets of one route's requests, and has their answers measured."""

    def __init__(
        self,
        board: Board,
        measurements: Measurements,
        health: Health,
        standing: StandingOf,
        nobody_answers: NobodyAnswers,
        chance: Chance,
    ) -> None:
        self.board = board
        self._measurements = measurements
        self._health = health
        self._standing = standing
        self._nobody_answers = nobody_answers
        self._chance = chance
        self._is_sticky = board.route.strategy == "sticky"

    def __repr__(self) -> str:
        return f"<Picker of {self.board!r}>"

    def pick(self, exchange: Exchange) -> Choice:
        """Return the targets to try; raises `NoTargetFits` where none can serve such a request."""
        board, chance = self.board, self._chance
        exchange.route = board.route.name
        shape = board.shape(shape_of(exchange.fields))
        conversation, warm = b"", None
        if self._is_sticky:
            caller = exchange.caller.key_id if exchange.caller is not None else 0
            conversation = conversation_of(exchange.fields, caller)
            number = int.from_bytes(conversation) / HASH_RANGE
            warm = self._place(self._measurements.warm(conversation))

            def chance() -> float:
                return number

        standing = None if self._health.untroubled else self._standing
        prefer = exchange.caller.prefer if exchange.caller is not None else None
        chosen = choose(shape, board, warm, standing, chance, prefer)
        flight = Flight(exchange.accounts, self._measurements, conversation)
        if chosen:
            targets = [board.candidates[place].target for place in chosen]
            choice = Choice(board.route.name, FollowedTargets(targets, flight), answered_by=flight.stay)
        else:
            places = able(board, shape)
            choice = self._nobody_answers(board.route.name, [board.candidates[at].target for at in places])
            choice = Choice(
                choice.route,
                FollowedTargets(tuple(choice.targets), flight),
                choice.returns_at,
                choice.reason,
                choice.is_missing,
                flight.stay,
            )
        exchange.accounts = flight
        return choice

    def _place(self, target: Target | None) -> int | None:
        return self.board.places.get(target) if target is not None else None


def build_boards(
    settings: Settings, facts: Facts, measurements: Measurements, clock: Clock
) -> Mapping[str, Board]:
    """Return the boards of the routes that need one, by name; the first look at prices takes a while.

    A route without targets, as all of them are held by order, has none.
    """
    return {
        route.name: build_board(route, settings, facts, measurements, clock)
        for route in settings.routes.values()
        if route.targets and not route.is_plain
    }


def plan_board(plan: Plan, settings: Settings, facts: Facts, clock: Clock) -> Board:
    """Return the board of what goes by its list alone: nothing is measured there."""
    route = settings.routes.get(plan.route) or RouteSettings(plan.route, "priority", plan.targets)
    return build_board(route, settings, facts, Measurements(clock), clock)


def build_board(
    route: RouteSettings, settings: Settings, facts: Facts, measurements: Measurements, clock: Clock
) -> Board:
    """Return the board of one route."""
    return Board(route, candidates_of(route.targets, settings, facts), facts, measurements, clock)

"""Works out what a batch of rows adds to the hourly sums, and adds it in the batch's own transaction."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from shareai_cli.ledger.codes import BASES, OUTCOMES
from shareai_cli.ledger.rows import Row
from shareai_cli.ledger.sums import DIMENSIONS, HOUR_MS, SUMS
from shareai_cli.types import CostBasis, Outcome

_Numbers = list[int]
"""The numbers of `SUMS`, in that order, then the first and the last request's id."""

_PLACES: Final = {name: place for place, name in enumerate(SUMS)}
_PROMPT: Final = _PLACES["prompt"]
_CACHED: Final = _PLACES["cached"]
_CACHE_WRITE: Final = _PLACES["cache_write"]
_COMPLETION: Final = _PLACES["completion"]
_REASONING: Final = _PLACES["reasoning"]
_ESTIMATED_TOKENS: Final = _PLACES["estimated_tokens"]
_COST: Final = _PLACES["cost_nano"]
_FIRST_TOKENS: Final = _PLACES["first_tokens"]
_FIRST_TOKEN_US: Final = _PLACES["first_token_us"]
_TOTAL_US: Final = _PLACES["total_us"]
_FIRST_ID: Final = len(SUMS)
_LAST_ID: Final = _FIRST_ID + 1

_OUTCOME_PLACES: Final = {
    OUTCOMES.index(outcome): _PLACES[outcome] for outcome in OUTCOMES if outcome is not Outcome.OK
}
_BASIS_PLACES: Final = {
    BASES.index(CostBasis.ESTIMATED): _PLACES["estimated_cost"],
    BASES.index(CostBasis.UNKNOWN): _PLACES["unknown_cost"],
}

_ADD: Final = (
    f"INSERT INTO hourly (dimension, hour, name, {', '.join(SUMS)}) "  # noqa: S608 - constants
    f"VALUES (?, ?, ?, {', '.join('?' * len(SUMS))}) ON CONFLICT (dimension, hour, name) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
)
_ADD_HOUR: Final = (
    "INSERT INTO hours (hour, first_id, last_id) VALUES (?, ?, ?) ON CONFLICT (hour) DO UPDATE "
    "SET first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id)"
)


class HourlySums:
    """What one batch adds. A request counts once in each of `DIMENSIONS`."""

    def __init__(self) -> None:
        self._parts: dict[tuple[int, int, int, int, int], _Numbers] = {}

    def add(self, row: Row) -> None:
        """Count a row in."""
        (request, time_ms, key, team, route, target, _, _, _, outcome, _, prompt, cached, cache_write,
         completion, reasoning, estimated, cost, basis, first_us, total_us) = row[:21]  # fmt: skip
        place = (time_ms // HOUR_MS, route, target, key, team)
        numbers = self._parts.get(place)
        if numbers is None:
            numbers = self._parts[place] = [0] * len(SUMS) + [request, request]
        numbers[0] += 1
        if outcome:
            numbers[_OUTCOME_PLACES[outcome]] += 1
        numbers[_PROMPT] += prompt
        numbers[_CACHED] += cached
        numbers[_CACHE_WRITE] += cache_write
        numbers[_COMPLETION] += completion
        numbers[_REASONING] += reasoning
        if estimated:
            numbers[_ESTIMATED_TOKENS] += 1
        if cost:
            numbers[_COST] += cost
        if basis in _BASIS_PLACES:
            numbers[_BASIS_PLACES[basis]] += 1
        if first_us:
            numbers[_FIRST_TOKENS] += 1
            numbers[_FIRST_TOKEN_US] += first_us
        numbers[_TOTAL_US] += total_us
        if request > numbers[_LAST_ID]:
            numbers[_LAST_ID] = request
        elif request < numbers[_FIRST_ID]:
            numbers[_FIRST_ID] = request

    def write(self, connection: sqlite3.Connection, pause: float) -> None:
        """Add it all to what the database holds, with a pause of so many seconds before each statement."""
        for dimension, code in DIMENSIONS.items():
            if pause:
                time.sleep(pause)
            connection.executemany(
                _ADD, [(code, *place, *numbers) for place, numbers in self._by(dimension).items()]
            )
        connection.executemany(_ADD_HOUR, self._hours())

    def _by(self, dimension: str) -> dict[tuple[int, int], _Numbers]:
        sums: dict[tuple[int, int], _Numbers] = {}
        at = list(DIMENSIONS).index(dimension) + 1
        for part, numbers in self._parts.items():
            place = (part[0], part[at])
            former = sums.get(place)
            if former is None:
                sums[place] = numbers[:_FIRST_ID]
            else:
                sums[place] = [a + b for a, b in zip(former, numbers, strict=False)]
        return sums

    def _hours(self) -> list[tuple[int, int, int]]:
        hours: dict[int, tuple[int, int]] = {}
        for part, numbers in self._parts.items():
            first, last = hours.get(part[0], (numbers[_FIRST_ID], numbers[_LAST_ID]))
            hours[part[0]] = (min(first, numbers[_FIRST_ID]), max(last, numbers[_LAST_ID]))
        return [(hour, first, last) for hour, (first, last) in hours.items()]

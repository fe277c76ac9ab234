"""From an entry to its row: names become numbers, the attempts are written short, the cost is worked out."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from shareai_cli.ledger.codes import BASES, OUTCOMES
from shareai_cli.ledger.costs import Costs, PricedTarget, broken_attempts
from shareai_cli.ledger.entries import Closed, Opened
from shareai_cli.types import Attempt, Outcome

Row = tuple[Any, ...]
"""The values of `REQUEST_COLUMNS`."""

MOST_NAMES: Final = 20_000
"""Names kept in memory; clients can make up models, so there is no end to them."""

LOOK_BACK: Final = 10_000
"""Requests among which a route's latest target is looked for."""

_encode: Final = msgspec.json.Encoder().encode


class Names:
    """The numbers of names in a table, looked up in memory first."""

    def __init__(self, table: str) -> None:
        self._find = f"SELECT id FROM {table} WHERE name = ?"  # noqa: S608 - a constant of this module
        self._known: dict[str, int] = {"": 0}

    def forget(self) -> None:
        """Forget what was looked up: it may have been rolled back."""
        self._known = {"": 0}

    def numbers(self, connection: sqlite3.Connection, *names: str) -> list[int]:
        """Return the numbers of names, new or old."""
        known = self._known
        try:
            return [known[name] for name in names]
        except KeyError:
            return [self.number(connection, name) for name in names]

    def number(self, connection: sqlite3.Connection, name: str) -> int:
        """Return the number of a name, new or old."""
        known = self._known.get(name)
        return known if known is not None else self._look_up(connection, name)

    def _look_up(self, connection: sqlite3.Connection, name: str) -> int:
        if len(self._known) >= MOST_NAMES:
            self.forget()
        row = connection.execute(self._find, (name,)).fetchone()
        number = int(row[0]) if row else self._insert(connection, name)
        self._known[name] = number
        return number

    def _insert(self, connection: sqlite3.Connection, name: str) -> int:
        return connection.execute("INSERT INTO names (name) VALUES (?)", (name,)).lastrowid or 0


class Targets:
    """The numbers of targets, with the provider's name among the prices as it was seen last."""

    def __init__(self) -> None:
        self._known: dict[str, PricedTarget] = {}

    def forget(self) -> None:
        """Forget what was looked up: it may have been rolled back."""
        self._known.clear()

    def get(self, connection: sqlite3.Connection, name: str, price_as: str) -> PricedTarget:
        """Return a target; an empty `price_as` leaves the one that is known."""
        known = self._known.get(name)
        if known is None or (price_as and known.price_as != price_as):
            if len(self._known) >= MOST_NAMES:
                self.forget()
            known = self._known[name] = self._keep(connection, name, price_as)
        return known

    def _keep(self, connection: sqlite3.Connection, name: str, price_as: str) -> PricedTarget:
        if not name:
            return PricedTarget.named("", 0, "")
        row = connection.execute(
            "INSERT INTO targets (name, price_as) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "
            "price_as = CASE excluded.price_as WHEN '' THEN price_as ELSE excluded.price_as END "
            "RETURNING id, price_as",
            (name, price_as),
        ).fetchall()
        return PricedTarget.named(name, *row[0])


class Rows:
    """Makes rows of entries, within a transaction that writes them."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._names = Names("names")
        self._targets = Targets()

    def forget(self) -> None:
        """Forget what a transaction looked up that was rolled back."""
        self._names.forget()
        self._targets.forget()

    def row(self, connection: sqlite3.Connection, entry: Closed) -> Row:
        """Return the row of an entry, in the order of `REQUEST_COLUMNS`."""
        attempts = entry.attempts
        target_name = entry.target or (attempts[-1].target if attempts else "")
        target = self._targets.get(connection, target_name, entry.price_as)
        team, route, provider_key, error = self._names.numbers(
            connection, entry.team, entry.route, entry.provider_key, entry.error
        )
        ordinary = _is_ordinary(entry)
        broken = [] if ordinary else broken_attempts(entry)
        cost = self._costs.of(
            entry, target, [self._targets.get(connection, one.target, one.price_as) for one in broken]
        )
        usage = cost.usage
        return (
            entry.request,
            entry.time_ms,
            entry.caller_key,
            team,
            route,
            target.number,
            provider_key,
            entry.status,
            entry.streamed,
            OUTCOMES.index(entry.outcome),
            error,
            usage.prompt,
            usage.cached,
            usage.cache_write,
            usage.completion,
            usage.reasoning,
            cost.estimated_tokens,
            cost.nano,
            BASES.index(cost.basis),
            entry.first_token_us,
            entry.total_us,
            attempts[0].duration_us if ordinary else None,
            entry.prompt_bytes,
            entry.completion_bytes,
            entry.fingerprint or None,
            self._attempts(connection, attempts) if attempts and not ordinary else None,
            entry.drill,
        )

    def incomplete(self, connection: sqlite3.Connection, entry: Opened, target: str) -> Row:
        """Return the row of a request whose end was never written: its process was ended.

        Nobody knows who was asked: its cost is estimated as for `target`.
        """
        return self.row(
            connection,
            Closed(
                request=entry.request,
                time_ms=entry.time_ms,
                caller_key=entry.caller_key,
                team=entry.team,
                route=entry.route,
                target=target,
                price_as="",
                model="",
                provider_key="",
                status=0,
                streamed=entry.streamed,
                outcome=Outcome.INCOMPLETE,
                error="process_ended",
                attempts=(),
                usage=None,
                prompt_bytes=entry.prompt_bytes,
                completion_bytes=0,
                first_token_us=0,
                total_us=0,
                fingerprint=entry.fingerprint,
                drill=entry.drill,
            ),
        )

    def _attempts(self, connection: sqlite3.Connection, attempts: tuple[Attempt, ...]) -> str:
        """Write attempts as a list of [target, key, outcome, status, microseconds], names as numbers."""
        number = self._names.number
        return _encode(
            [
                (
                    self._targets.get(connection, one.target, "").number,
                    number(connection, one.key),
                    number(connection, one.outcome),
                    one.status,
                    one.duration_us,
                )
                for one in attempts
            ]
        ).decode()

    def latest_target(self, connection: sqlite3.Connection, route: str) -> str:
        """Return the target that a route had last; empty where it had none lately."""
        row = connection.execute(
            "SELECT targets.name "
            "FROM (SELECT id, route, target FROM requests ORDER BY id DESC LIMIT ?) AS late "
            "JOIN targets ON targets.id = late.target "
            "WHERE late.route = ? AND late.target != 0 ORDER BY late.id DESC LIMIT 1",
            (LOOK_BACK, self._names.number(connection, route)),
        ).fetchone()
        return str(row[0]) if row else ""


def _is_ordinary(entry: Closed) -> bool:
    """Tell whether the one attempt says nothing but its duration that the row does not say."""
    if len(entry.attempts) != 1:
        return False
    one = entry.attempts[0]
    return (
        one.outcome == "ok"
        and one.target == entry.target
        and one.key == entry.provider_key
        and one.status == entry.status
    )

"""Routes: the targets of each in the order of being asked, and what a person can order of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Static

from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.confirm import ConfirmScreen, EntryScreen
from shareai_cli.dashboard.screens.explain import ExplainScreen
from shareai_cli.dashboard.screens.overview import state_text
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import count, duration, plain, share, shares
from shareai_cli.errors import ShareAIError
from shareai_cli.live import LiveRoute, LiveTarget
from shareai_cli.overrides import HEAVIEST, TargetOrder
from shareai_cli.question import request_of
from shareai_cli.types import TargetPlace

EXPLAINED_EVERY_MS: Final = 2_000
"""Between two looks at the order, while what it may go by changes."""

Places = Mapping[str, TargetPlace]


class RoutesScreen(DashboardScreen):
    """The routes above, the targets of the one that the cursor is on below."""

    NAME = "Routes"
    LETTER = "t"
    ABOUT = "Targets of routes in the order of being asked; disable, drain, reweight; explain a request."
    AUTO_FOCUS = "#targets"
    DEFAULT_CSS = """
    RoutesScreen #routes { height: auto; max-height: 40%; }
    RoutesScreen #rule { height: 1; margin: 1 0 0 0; padding: 0 1; text-style: bold; }
    RoutesScreen #why { height: auto; max-height: 3; padding: 0 1; border-top: solid $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "turn(1)", "Next route", key_display="]", show=False),
        Binding("left_square_bracket", "turn(-1)", "Route before", key_display="[", show=False),
        Binding("d", "order('disabled')", "Disable"),
        Binding("D", "order('draining')", "Drain", key_display="D"),
        Binding("e", "order('serving')", "Enable"),
        Binding("w", "reweight", "Weight"),
        Binding("x", "explain", "Explain"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._places: Places = {}
        self._seen: LiveRoute | None = None
        """The route as it was when its order was asked for."""
        self._seen_ms = 0

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        yield Rows("ROUTE", "STRATEGY", "SERVING", "ASKED", "FAILED", id="routes")
        yield Static(id="rule")
        yield Rows("", "TARGET", "STATE", "WEIGHT", "SHARE", "FAILED", "FIRST", "WHY", id="targets")
        yield Static(id="why")

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        self.query_one("#routes", Rows).show([*route_rows(state.routes)])
        route = self._route()
        if route is None:
            self.query_one("#targets", Rows).show([])
            self.query_one("#rule", Static).update("No routes.")
            self.query_one("#why", Static).update("")
            return
        self._look_at_order(route)
        rule = f"{plain(route.name) or '(by name)'}  {route.strategy}"
        self.query_one("#rule", Static).update(Text(rule, no_wrap=True))
        self.query_one("#targets", Rows).show([*target_rows(route, self._places)])
        self._show_why()

    def action_turn(self, by: int) -> None:
        """Show the targets of another route."""
        routes = self.query_one("#routes", Rows)
        if routes.row_count:
            routes.move_cursor(row=(routes.cursor_row + by) % routes.row_count)

    def action_order(self, state: str) -> None:
        """Disable, drain or enable the target that the cursor is on, once a person confirms it."""
        route, target = self._chosen()
        if route is None or target is None:
            return
        if target.state == state:
            self.notify(f"{plain(target.target)} is {state} already.", markup=False)
            return
        verb = {"disabled": "Disable", "draining": "Drain"}.get(state, "Enable")
        after = "It gets no new requests from then on; those under way there go on."
        if state == "serving":
            after = "It gets requests again."
        question = f"{verb} {target.target} on the route {route.name}? {after}"
        order = TargetOrder(route.name, target.target, state=state)  # type: ignore[arg-type]  # of the bindings

        def give(is_sure: bool | None) -> None:
            if is_sure:
                self.run_worker(self._give(order))

        self.app.push_screen(ConfirmScreen(question), give)

    def action_reweight(self) -> None:
        """Give the target that the cursor is on another weight."""
        route, target = self._chosen()
        if route is None or target is None:
            return
        declared = target.weight if target.declared_weight is None else target.declared_weight
        question = (
            f"Weight of {target.target} on the route {route.name}, from 1 to {HEAVIEST}; "
            f"nothing goes back to the declared one, {declared}."
        )
        self.app.push_screen(
            EntryScreen(question, str(target.weight)), partial(self._reweight, route.name, target.target)
        )

    def action_explain(self) -> None:
        """Explain a request to the route."""
        route = self._route()
        if route is not None and self._can_be_steered(route):
            self.app.push_screen(ExplainScreen(self.dashboard.link, route.name))

    @on(DataTable.RowHighlighted, "#routes")
    def _turned(self) -> None:
        self.show(self.dashboard.state)

    @on(DataTable.RowSelected, "#routes")
    def _opened(self) -> None:
        self.query_one("#targets", Rows).focus()

    @on(DataTable.RowHighlighted, "#targets")
    def _moved(self) -> None:
        self._show_why()

    def _route(self) -> LiveRoute | None:
        """Return the route that the cursor is on."""
        chosen = self.query_one("#routes", Rows).current_key
        return next((one for one in self.dashboard.state.routes if one.name == chosen), None)

    def _chosen(self) -> tuple[LiveRoute | None, LiveTarget | None]:
        """Return the route and the target that the cursors are on; None where nothing can be ordered."""
        route, chosen = self._route(), self.query_one("#targets", Rows).current_key
        if route is None or not self._can_be_steered(route):
            return None, None
        return route, next((one for one in route.targets if one.target == chosen), None)

    def _can_be_steered(self, route: LiveRoute) -> bool:
        if self.dashboard.link.connection is not Connection.LIVE:
            self.notify("No gateway is there just now.", severity="warning")
            return False
        if not route.name:
            self.notify("These were asked for by their own names: no route leads there.", severity="warning")
            return False
        return True

    def _reweight(self, route: str, target: str, text: str | None) -> None:
        if text is None:
            return
        if text and not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= HEAVIEST):
            self.notify(f"A weight is a whole number from 1 to {HEAVIEST}.", severity="warning")
            return
        self.run_worker(self._give(TargetOrder(route, target, weight=int(text) if text else None)))

    async def _give(self, order: TargetOrder) -> None:
        try:
            held = await self.dashboard.link.ask_gateway(lambda one: one.admin.override_target(order))
        except ShareAIError as error:
            self.dashboard.tell(error)
            return
        weight = f", with the weight {held.weight}" if held.weight is not None else ""
        self.notify(plain(f"{held.target} is {held.state} on the route {held.route}{weight}."), markup=False)

    def _look_at_order(self, route: LiveRoute) -> None:
        """Have the route explained again where the order of its targets may be another one."""
        if self.dashboard.link.connection is not Connection.LIVE or not route.name or route == self._seen:
            return
        now, former = self.dashboard.now_ms(), self._seen
        if former is not None and former.name != route.name:
            self._places = {}
        elif (
            former is not None
            and _standing(former) == _standing(route)
            and 0 <= now - self._seen_ms < EXPLAINED_EVERY_MS
        ):
            return
        self._seen, self._seen_ms = route, now
        self.run_worker(self._explain(route.name), group="order", exclusive=True)

    async def _explain(self, route: str) -> None:
        body = request_of(route)
        try:
            found = await self.dashboard.link.ask_gateway(lambda one: one.admin.explain_route(body))
        except ShareAIError:
            return  # the order stays as it was; whether there is a gateway the first line tells
        self._places = {one.target: one for one in found.targets}
        self.show(self.dashboard.state)

    def _show_why(self) -> None:
        route, chosen = self._route(), self.query_one("#targets", Rows).current_key
        target = next((one for one in route.targets if one.target == chosen), None) if route else None
        why = f"{plain(target.target)}: {why_words(target, self._places)}" if target is not None else ""
        self.query_one("#why", Static).update(Text(why))


def route_rows(routes: Sequence[LiveRoute]) -> Iterator[Row]:
    """Yield a row for each route."""
    for route in routes:
        serving = sum(one.state == "serving" for one in route.targets)
        asked = sum(one.asked for one in route.targets)
        failed = sum(one.failed for one in route.targets)
        yield (
            route.name,
            (
                Text(plain(route.name) or "(by name)", style="bold"),
                route.strategy,
                Text(f"{serving} of {len(route.targets)}", justify="right"),
                Text(count(asked), justify="right"),
                Text(share(failed, asked), justify="right"),
            ),
        )


def target_rows(route: LiveRoute, places: Places) -> Iterator[Row]:
    """Yield a row for each target, in the order of being asked as far as that is known."""
    parts = dict(zip(route.targets, shares(route.targets), strict=True))
    for one in sorted(route.targets, key=lambda one: _place(one, places)):
        at = _place(one, places)
        yield (
            one.target,
            (
                Text(
                    "-" if not places else "out" if at == math.inf else str(at), style="bold", justify="right"
                ),
                plain(one.target),
                state_text(one.state, one.seconds),
                Text(_weight(one), justify="right"),
                Text(parts[one], justify="right"),
                Text(share(one.failed, one.asked), justify="right"),
                Text(duration(one.first_token_us), justify="right"),
                why_words(one, places),
            ),
        )


def why_words(one: LiveTarget, places: Places) -> str:
    """Say why a target stands as it does, and what its place rests on."""
    place = places.get(one.target)
    if place is not None and place.reason:
        return plain(place.reason)
    return plain(one.reason) or ("nothing is known against it" if one.state == "serving" else one.state)


def _place(one: LiveTarget, places: Places) -> float:
    place = places.get(one.target)
    return math.inf if place is None or place.place is None else place.place


def _weight(one: LiveTarget) -> str:
    return str(one.weight) if one.declared_weight is None else f"{one.weight} (file {one.declared_weight})"


def _standing(route: LiveRoute) -> Sequence[tuple[str, str, int]]:
    """Return what a change of which may change the order at once."""
    return [(one.target, one.state, one.weight) for one in route.targets]

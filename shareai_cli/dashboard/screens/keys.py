"""Keys and limits: keys and teams with what they used, limits with what is left, and the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, get_args

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher, DataTable, Static

from shareai_cli.client import Admin, NewKey
from shareai_cli.dashboard.access import (
    CHANGE_HEADINGS,
    KEY_HEADINGS,
    LIMIT_HEADINGS,
    MOST_KEYS,
    TEAM_HEADINGS,
    USE_DAYS,
    Access,
    by_subject,
    by_use,
    change_cells,
    change_lines,
    is_valid,
    key_cells,
    key_lines,
    limit_cells,
    look_up,
    minted_from,
    names_in_words,
    of_budget,
    team_cells,
    verdict_lines,
)
from shareai_cli.dashboard.key_form import read_key, read_limits
from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.confirm import ConfirmScreen
from shareai_cli.dashboard.screens.form import Field, FormScreen
from shareai_cli.dashboard.screens.telling import FactsScreen, NewKeyScreen
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.widgets.cells import cells_of
from shareai_cli.dashboard.widgets.choices import Choices
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import plain
from shareai_cli.errors import ShareAIError
from shareai_cli.types import AuditVerdict, LimitUse, TeamInfo

REFRESH_MS = 10_000
"""Between two looks at the accounts while the screen is shown."""

REDRAW_MS = 1_000
"""Between two drawings of limits, which change with each request."""

View = Literal["keys", "teams", "limits", "audit"]
VIEWS: tuple[View, ...] = get_args(View)

KEY_FIELDS = (
    Field("name", "laptop"),
    Field("team", "default"),
    Field("may use", "everything; or chat openai/*"),
    Field("expires", "never; or 12h, 30d, 2027-01-31"),
    Field("limits", "none; or requests_per_minute=60, budget_per_month=50 USD"),
    Field("mints keys", "no; or yes"),
)
TEAM_FIELDS = (
    Field("name", "dev"),
    Field("limits", "none; or requests_per_minute=60, budget_per_month=50 USD"),
)


class KeysScreen(DashboardScreen):
    """Looked up anew every few seconds; limits are as the gateway tells."""

    NAME = "Keys"
    LETTER = "k"
    ABOUT = "Keys and teams with what they used, how much of limits is left, and who changed what."
    DEFAULT_CSS = """
    KeysScreen #told { height: auto; max-height: 5; padding: 0 1; }
    KeysScreen ContentSwitcher { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "view('keys')", "Keys"),
        Binding("2", "view('teams')", "Teams"),
        Binding("3", "view('limits')", "Limits"),
        Binding("4", "view('audit')", "Audit"),
        Binding("n", "make", "New"),
        Binding("x", "end", "Revoke"),
        Binding("v", "verify", "Verify"),
        Binding("r", "look_up", "Look up again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._view: View = "keys"
        self._access: Access | None = None
        self._uses: tuple[LimitUse, ...] = ()
        self._verdict: tuple[str, ...] = ()
        self._asked_ms = self._drawn_ms = 0
        self._asked_while = Connection.SEEKING

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        yield Choices(id="choices")
        yield Static(id="told")
        with ContentSwitcher(initial="keys"):
            yield Rows(*KEY_HEADINGS, id="keys")
            yield Rows(*TEAM_HEADINGS, id="teams")
            yield Rows(*LIMIT_HEADINGS, id="limits")
            yield Rows(*CHANGE_HEADINGS, id="audit", follows=True)

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        connection, now_ms = self.dashboard.link.connection, self.dashboard.now_ms()
        if state.limits != self._uses and now_ms - self._drawn_ms >= REDRAW_MS:
            self._uses, self._drawn_ms = state.limits, now_ms
            self._draw()
        if connection not in (Connection.LIVE, Connection.ABSENT):
            return
        if connection is not self._asked_while or now_ms - self._asked_ms >= REFRESH_MS:
            self.action_look_up()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done with what is shown."""
        offered = {"make": ("keys", "teams"), "end": ("keys", "teams"), "verify": ("audit",)}
        return self._view in offered.get(action, VIEWS)

    # -- what is chosen

    def action_view(self, view: View) -> None:
        """Show keys, teams, limits or the audit."""
        self._view, self._verdict = view, ()
        self.query_one(ContentSwitcher).current = view
        self.query_one(f"#{view}", Rows).focus()
        self.refresh_bindings()
        self._draw()

    # -- what is asked for

    def action_look_up(self) -> None:
        """Ask for everything again."""
        self._asked_while, self._asked_ms = self.dashboard.link.connection, self.dashboard.now_ms()
        self.run_worker(self._take_in(), group="access", exclusive=True)

    async def _take_in(self) -> None:
        try:
            self._access = await self.dashboard.link.ask(partial(look_up, now_ms=self._asked_ms))
        except ShareAIError as error:
            self._tell(str(error))
            return
        self._draw()

    # -- what is drawn

    def _tell(self, text: str) -> None:
        self.query_one("#told", Static).update(Text(text))

    def _draw(self) -> None:
        self.query_one(Choices).show(("Show", VIEWS, self._view, "view"))
        access = self._access
        if access is None:
            return
        uses = by_use(self._uses or map(of_budget, access.budgets))
        self.query_one(f"#{self._view}", Rows).show([*self._rows(access, uses)])
        self._tell(self._told(access, uses))

    def _rows(self, access: Access, uses: Sequence[LimitUse]) -> Iterator[Row]:
        """Yield the rows of the table that is shown."""
        now_ms, first = self.dashboard.now_ms(), by_subject(uses)
        match self._view:
            case "keys":
                for key in access.keys[:MOST_KEYS]:
                    yield str(key.id), cells_of(KEY_HEADINGS, key_cells(key, access, first, now_ms))
            case "teams":
                for team in access.teams:
                    yield team.name, cells_of(TEAM_HEADINGS, team_cells(team, access, first))
            case "limits":
                for use in uses:
                    yield f"{use.subject}\n{use.limit}", cells_of(LIMIT_HEADINGS, limit_cells(use))
            case "audit":
                for row in access.changes:
                    yield str(row.id), cells_of(CHANGE_HEADINGS, change_cells(row))

    def _told(self, access: Access, uses: Sequence[LimitUse]) -> str:
        if self._view == "keys":
            now_ms = self.dashboard.now_ms()
            valid = sum(is_valid(one, now_ms) for one in access.keys)
            cut = f", the first {MOST_KEYS} shown" if len(access.keys) > MOST_KEYS else ""
            gone = len(access.keys) - valid
            return f"{valid} valid, {gone} no more{cut}; use over {USE_DAYS} days. Enter tells more of one."
        if self._view == "teams":
            return f"{len(access.teams)} in all; use over {USE_DAYS} days. Keys belong to teams."
        if self._view == "audit":
            newest = "The newest changes first. v verifies that none was altered; Enter tells more of one."
            return "\n".join(self._verdict or (newest,))
        if not uses:
            none = "No limits are set. shareai limit set organization 'budget_per_month=50 USD'"
            return plain(access.problem) or none
        is_live = bool(self._uses)
        return f"{len(uses)} in all, the most used first." if is_live else (
            "Budgets as the accounts have them; of other limits only a running gateway knows the use."
        )  # fmt: skip

    # -- what is done

    def action_make(self) -> None:
        """Make a key or a team."""
        if self._view == "keys":
            self.app.push_screen(FormScreen("A new key", KEY_FIELDS, self._make_key), self._made_key)
        else:
            self.app.push_screen(FormScreen("A new team", TEAM_FIELDS, self._make_team), self._made_team)

    async def _make_key(self, filled: Mapping[str, str]) -> NewKey:
        settings = read_key(
            filled["team"],
            filled["may use"],
            filled["expires"],
            filled["limits"],
            self.dashboard.now_ms(),
            may_mint=filled["mints keys"].strip().lower() in ("y", "yes"),
        )
        return await self.dashboard.link.ask(lambda admin: admin.create_key(filled["name"].strip(), settings))

    def _made_key(self, made: NewKey | None) -> None:
        if made is not None:
            self.app.push_screen(NewKeyScreen(made))
            self.action_look_up()

    async def _make_team(self, filled: Mapping[str, str]) -> TeamInfo:
        limits = read_limits(filled["limits"])
        return await self.dashboard.link.ask(lambda admin: admin.create_team(filled["name"].strip(), limits))

    def _made_team(self, made: TeamInfo | None) -> None:
        if made is not None:
            self.notify(f"The team {plain(made.name)} is made.", markup=False)
            self.action_look_up()

    def action_end(self) -> None:
        """Revoke the key, or remove the team, on which the cursor is."""
        access, current = self._access, self.query_one(f"#{self._view}", Rows).current_key
        if access is None or current is None:
            return
        if self._view == "teams":
            self._ask_first(
                f"Remove the team {current}? Its accounts stay.",
                lambda admin: f"The team {admin.remove_team(current).name} is removed.",
            )
            return
        key = next(one for one in access.keys if str(one.id) == current)
        if key.revoked_ms is not None:
            self.notify(f"The key {plain(key.name)} is revoked already.", markup=False)
            return
        minted = [one.name for one in minted_from(key, access.keys)]
        also = f" and those minted from it, {names_in_words(minted)}" if minted else ""
        self._ask_first(
            f"Revoke the key {key.name} ({key.shown}){also}? Whoever uses it is refused from then on.",
            lambda admin: f"The key {admin.revoke_key(key.name).name} is revoked.",
        )

    def _ask_first(self, question: str, change: Callable[[Admin], str]) -> None:
        """Change something once a person agrees; `change` returns what became of it."""

        def answered(agrees: bool | None) -> None:
            if agrees:
                self.run_worker(self._change(change))

        self.app.push_screen(ConfirmScreen(question), answered)

    async def _change(self, change: Callable[[Admin], str]) -> None:
        told = await self.ask(change)
        if told is not None:
            self.notify(plain(told), markup=False)
            self.action_look_up()

    def action_verify(self) -> None:
        """Look whether every row of the audit is as it was written."""
        self._tell("Verifying every row...")
        self.run_worker(self._verify(), group="verify", exclusive=True)

    async def _verify(self) -> None:
        def verify(admin: Admin) -> AuditVerdict:
            return admin.verify_audit()

        verdict = await self.ask(verify)
        if verdict is not None:
            self._verdict = tuple(verdict_lines(verdict))
        self._draw()

    @on(DataTable.RowSelected, "#keys")
    def _open_key(self) -> None:
        access, current = self._access, self.query_one("#keys", Rows).current_key
        if access is not None and current is not None:
            key = next(one for one in access.keys if str(one.id) == current)
            self.app.push_screen(FactsScreen(key_lines(key, access.keys, self.dashboard.now_ms())))

    @on(DataTable.RowSelected, "#audit")
    def _open_change(self) -> None:
        access, current = self._access, self.query_one("#audit", Rows).current_key
        if access is not None and current is not None:
            row = next(one for one in access.changes if str(one.id) == current)
            self.app.push_screen(FactsScreen(change_lines(row)))

"""The dashboard: connects to a gateway, and has the screen that is shown draw what is new."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from shareai_cli.dashboard.link import Link
from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.costs import CostsScreen
from shareai_cli.dashboard.screens.drills import DrillsScreen
from shareai_cli.dashboard.screens.jump import HelpScreen, JumpScreen
from shareai_cli.dashboard.screens.keys import KeysScreen
from shareai_cli.dashboard.screens.nodes import NodesScreen
from shareai_cli.dashboard.screens.overview import OverviewScreen
from shareai_cli.dashboard.screens.playground import PlaygroundScreen
from shareai_cli.dashboard.screens.requests import RequestsScreen
from shareai_cli.dashboard.screens.routes import RoutesScreen
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.tools import Tools
from shareai_cli.dashboard.words import plain
from shareai_cli.errors import ShareAIError
from shareai_cli.types import WallClock
from shareai_cli.watching import Source

DRAWN_EVERY = 0.25
"""Seconds between two looks at whether something is new."""

SCREENS_IN_ORDER: tuple[type[DashboardScreen], ...] = (
    OverviewScreen,
    RoutesScreen,
    RequestsScreen,
    CostsScreen,
    NodesScreen,
    DrillsScreen,
    KeysScreen,
    PlaygroundScreen,
)

DARK, LIGHT = "textual-dark", "textual-light"


class Dashboard(App[None]):
    """One run of `shareai dash`."""

    TITLE = "ShareAI"
    MODES: ClassVar = {one.NAME: one for one in SCREENS_IN_ORDER}
    DEFAULT_MODE = OverviewScreen.NAME
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "jump", "Go to"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("t", "turn_theme", "Light/dark"),
        Binding("q", "quit", "Quit", priority=False),
    ]

    def __init__(self, source: Source, wall_clock: WallClock = time.time, tools: Tools | None = None) -> None:
        super().__init__()
        self.tools = tools
        self.state = LiveState()
        self.link = Link(source, self.state, self._note_change, wall_clock)
        self._wall_clock = wall_clock
        self._is_new = True
        self._second = 0

    def on_mount(self) -> None:
        """Begin to watch the gateway."""
        self.run_worker(self.link.run(), name="link", exit_on_error=True)
        self.set_interval(DRAWN_EVERY, self.draw)

    def now_ms(self) -> int:
        """Return the time of day."""
        return int(self._wall_clock() * 1000)

    def draw(self) -> None:
        """Have the screen that is shown draw what is new."""
        second = int(self._wall_clock())
        if not self._is_new and (second == self._second or self.link.connection is not Connection.LIVE):
            return
        self._is_new, self._second = False, second
        for screen in reversed(self.screen_stack):
            if isinstance(screen, DashboardScreen):
                screen.update_all()
                break

    def tell(self, error: ShareAIError) -> None:
        """Tell the person what went wrong."""
        self.notify(plain(str(error)), severity="error", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return what the command palette offers: every screen, and every key of the one that is shown."""
        for one in SCREENS_IN_ORDER:
            yield SystemCommand(one.NAME, one.ABOUT, partial(self.switch_mode, one.NAME))
        for _, binding, enabled, tooltip in screen.active_bindings.values():
            if enabled and binding.description and isinstance(screen, DashboardScreen):
                command = partial(self.run_action, binding.action, screen)
                yield SystemCommand(binding.description, tooltip or f"Key {binding.key}", command)
        yield from super().get_system_commands(screen)

    def action_jump(self) -> None:
        """Ask where to."""

        def jump(name: str | None) -> None:
            if name is not None:
                self.switch_mode(name)

        self.push_screen(JumpScreen(SCREENS_IN_ORDER), jump)

    def action_help(self) -> None:
        """Show the keys."""
        screen = self.screen
        if isinstance(screen, DashboardScreen):
            keys = [
                f"{self.get_key_display(one.binding):<12} {one.binding.description}"
                for one in screen.active_bindings.values()
                if one.binding.description and isinstance(one.node, DashboardScreen | Dashboard)
            ]
            jumps = [f"g {one.LETTER:<10} {one.NAME}: {one.ABOUT}" for one in SCREENS_IN_ORDER]
            self.push_screen(HelpScreen(f"{screen.NAME}: {screen.ABOUT}", [*keys, "", *jumps]))

    def action_turn_theme(self) -> None:
        """Turn from dark to light, or back."""
        self.theme = DARK if self.theme == LIGHT else LIGHT

    def _note_change(self) -> None:
        self._is_new = True

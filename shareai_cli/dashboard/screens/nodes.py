"""Nodes: the machines that serve models, what they are and do, and whether they get requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Static

from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.confirm import ConfirmScreen
from shareai_cli.dashboard.screens.overview import state_text
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import bar, count, plain, state_words
from shareai_cli.errors import ShareAIError
from shareai_cli.live import LiveGpu, LiveModel, LiveNode
from shareai_cli.overrides import NodeOrder

BAR = 10
"""Characters of a bar."""

MOST_PROBLEMS = 3
"""That are shown in full."""


class NodesScreen(DashboardScreen):
    """The machines above; facts and models of the one that the cursor is on below."""

    NAME = "Nodes"
    LETTER = "n"
    ABOUT = "Machines that serve models: facts, models, queues, load, heat, power; pause, drain, resume."
    AUTO_FOCUS = "#nodes"
    DEFAULT_CSS = """
    NodesScreen #nodes { height: auto; max-height: 40%; }
    NodesScreen #facts { height: auto; margin: 1 0; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "order('paused')", "Pause"),
        Binding("D", "order('draining')", "Drain", key_display="D"),
        Binding("r", "order('serving')", "Resume"),
    ]

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        yield Rows("NODE", "STATE", "HOST", "MODELS", "RUNNING", "QUEUE", "LOAD", "WHY", id="nodes")
        yield Static(id="facts")
        yield Rows(
            "MODEL", "STATE", "SLOTS", "RUNNING", "QUEUE", "TOKENS/S", "MEMORY", "CONTEXT", "WHY", id="models"
        )

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        self.query_one("#nodes", Rows).show([*node_rows(state.nodes)])
        node = self._node()
        facts = self.query_one("#facts", Static)
        self.query_one("#models", Rows).show([*model_rows(node.models if node is not None else ())])
        if node is None:
            is_live = self.dashboard.link.connection is Connection.LIVE
            facts.update("Asking the node..." if is_live else "Only a running gateway tells of nodes.")
        else:
            facts.update(Text("\n".join(fact_lines(node))))

    def action_order(self, state: str) -> None:
        """Pause, drain or resume the node that the cursor is on, once a person confirms it."""
        node = self._node()
        if node is None or self.dashboard.link.connection is not Connection.LIVE:
            self.notify("No gateway tells of a node just now.", severity="warning")
            return
        is_held = node.state in ("paused", "draining")
        if node.state == state or (state == "serving" and not is_held):
            name = plain(node.name)
            told = f"{name} is {state} already." if is_held else f"{name} is neither paused nor draining."
            self.notify(told, markup=False)
            return
        verb = {"paused": "Pause", "draining": "Drain"}.get(state, "Resume")
        after = "Its models get no new requests from then on; those under way go on."
        if state == "serving":
            after = "Its models get requests again."
        machine = f"{node.name} ({node.hostname})" if node.hostname else node.name
        order = NodeOrder(node.name, state)  # type: ignore[arg-type]  # of the bindings above

        def give(is_sure: bool | None) -> None:
            if is_sure:
                self.run_worker(self._give(order))

        self.app.push_screen(ConfirmScreen(f"{verb} {machine}? {after}"), give)

    @on(DataTable.RowHighlighted, "#nodes")
    def _turned(self) -> None:
        self.show(self.dashboard.state)

    def _node(self) -> LiveNode | None:
        """Return the node that the cursor is on."""
        chosen = self.query_one("#nodes", Rows).current_key
        return next((one for one in self.dashboard.state.nodes if one.name == chosen), None)

    async def _give(self, order: NodeOrder) -> None:
        try:
            held = await self.dashboard.link.ask_gateway(lambda one: one.admin.override_node(order))
        except ShareAIError as error:
            self.dashboard.tell(error)
            return
        self.notify(plain(f"The node {held.node} is {held.state}."), markup=False)


def node_rows(nodes: Sequence[LiveNode]) -> Iterator[Row]:
    """Yield a row for each machine."""
    for node in nodes:
        loaded = sum(one.state == "ready" for one in node.models)
        yield (
            node.name,
            (
                Text(plain(node.name), style="bold"),
                state_text(node.state),
                plain(node.hostname) or "-",
                Text(f"{loaded} of {len(node.models)} loaded", justify="right"),
                Text(_sum(one.running for one in node.models), justify="right"),
                Text(_sum(one.waiting for one in node.models), justify="right"),
                Text("-" if node.load is None else f"{node.load:.0%}", justify="right"),
                plain(node.reason),
            ),
        )


def model_rows(models: Sequence[LiveModel]) -> Iterator[Row]:
    """Yield a row for each model of a machine."""
    for one in models:
        yield (
            one.id,
            (
                plain(one.id),
                state_text(one.state),
                Text(_known(one.slots), justify="right"),
                Text(_known(one.running), justify="right"),
                Text(_known(one.waiting), justify="right"),
                Text(_known(one.tokens_per_second), justify="right"),
                Text(size(one.memory), justify="right"),
                Text(_known(one.context), justify="right"),
                plain(one.problem) or ("loads with the first request" if one.state == "unloaded" else ""),
            ),
        )


def fact_lines(node: LiveNode) -> Iterator[str]:
    """Yield what is known of a machine, and why it does not serve; what is not known is left out."""
    cores = f"{node.cores} cores" if node.cores is not None else ""
    machine = ", ".join(filter(None, (plain(node.processor), cores, plain(node.system))))
    yield machine or "Nothing is known of the machine."
    parts = [
        _measured("load", node.load, f"{node.load or 0:.0%}"),
        _filled("memory", node.memory_used, node.memory),
        f"{node.temperature:.0f} °C" if node.temperature is not None else "",
    ]
    if any(parts):
        yield "   ".join(filter(None, parts))
    yield from map(_gpu_line, node.gpus)
    if node.reason:
        yield f"{state_words(node.state)}: {plain(node.reason)}"
    problems = [one for one in node.models if one.problem]
    yield from (f"{plain(one.id)}: {plain(one.problem)}" for one in problems[:MOST_PROBLEMS])


def _gpu_line(gpu: LiveGpu) -> str:
    parts = [
        f"GPU {plain(gpu.name)}",
        _measured("load", gpu.load, f"{gpu.load or 0:.0%}"),
        _filled("memory", gpu.memory_used, gpu.memory),
        f"{gpu.temperature:.0f} °C" if gpu.temperature is not None else "",
        f"{gpu.power:.0f} W" if gpu.power is not None else "",
    ]
    return "   ".join(filter(None, parts))


def size(number: int | None) -> str:
    """Write a number of bytes, `-` where it is not known."""
    if number is None:
        return "-"
    for unit, name in ((30, "GiB"), (20, "MiB")):
        if number >= 1 << unit:
            return f"{number / (1 << unit):.3g} {name}"
    return f"{number / 1024:.0f} KiB"


def _measured(name: str, part: float | None, written: str) -> str:
    return "" if part is None else f"{name} {bar(part, BAR)} {written}"


def _filled(name: str, used: int | None, whole: int | None) -> str:
    if used is None or not whole:
        return f"{name} {size(whole)}" if whole else ""
    return f"{name} {bar(used / whole, BAR)} {size(used)} of {size(whole)}"


def _known(number: float | None) -> str:
    return "-" if number is None else count(number)


def _sum(numbers: Iterator[int | None]) -> str:
    known = [number for number in numbers if number is not None]
    return str(sum(known)) if known else "-"

"""How this machine is just now, for those who watch: its models and their queues, load, heat, power."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec
import psutil
from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.errors import UpstreamError
from shareai_cli.live import LiveGpu, LiveModel, LiveNode
from shareai_cli.node.children import Children, ChildReport
from shareai_cli.node.facts import NodeFacts, Probe, find_facts, run_probe
from shareai_cli.node.lease import Reach
from shareai_cli.node.models import INSTALL_HINT
from shareai_cli.types import NODE
from shareai_cli.wire.client import Timeouts

ANSWERED_WITHIN: Final = Timeouts(connect=1.0, head=2.0, total=3.0)
"""A model's process answers beside its work; one that does not is shown without its queue."""

LARGEST_ANSWER: Final = 1 << 16

_PROCESSORS: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "acpitz")
"""Names of the sensors that Linux has for processors, the most telling first."""

_GPU_COLUMNS: Final = "name,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw"


class _Health(Struct):
    """What a model's process tells of itself."""

    context: int
    slots: int
    running: int
    waiting: int
    reply_tokens_per_second: float


_health_decoder = msgspec.json.Decoder(_Health)


class Sensors(Struct, frozen=True):
    """What can be read of a machine at a moment; None is not known."""

    load: float | None = None
    memory_used: int | None = None
    temperature: float | None = None
    gpus: tuple[LiveGpu, ...] = ()


class ReadsMachine(Protocol):
    """Reads a machine; its calls may block for seconds."""

    def facts(self) -> NodeFacts:
        """Return what does not change."""

    def sensors(self) -> Sensors:
        """Return what does."""


class ThisMachine:
    """Reads this machine."""

    def __init__(self, probe: Probe | None = None) -> None:
        self._probe = probe or run_probe
        self._has_gpus = False
        self._is_first = True

    def facts(self) -> NodeFacts:
        """See `ReadsMachine`."""
        facts = find_facts(self._probe)
        self._has_gpus = bool(facts.gpus)
        return facts

    def sensors(self) -> Sensors:
        """See `ReadsMachine`; the load is that since the last call, unknown in the first."""
        busy = psutil.cpu_percent(interval=None) / 100
        load, self._is_first = (None if self._is_first else busy), False
        memory = psutil.virtual_memory()
        gpus = tuple(_nvidia(self._probe)) if self._has_gpus else ()
        return Sensors(load, int(memory.total - memory.available), _temperature(), gpus)


class Machine:
    """Tells how this machine and its models are."""

    def __init__(
        self,
        children: Children,
        reads: ReadsMachine | None = None,
        memory_of: Callable[[int], int | None] | None = None,
    ) -> None:
        self._children = children
        self._reads = reads or ThisMachine()
        self._memory_of = memory_of or _memory_of
        self._facts: NodeFacts | None = None
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Machine of {self._children!r}>"

    async def look(self) -> LiveNode:
        """Return how all of it is now."""
        async with self._reading:
            if self._facts is None:
                self._facts = await asyncio.to_thread(self._reads.facts)
            sensors = await asyncio.to_thread(self._reads.sensors)
        facts = self._facts
        reports = self._children.reports()
        models = await asyncio.gather(*map(self._model, reports))
        gpus = sensors.gpus or tuple(LiveGpu(gpu.name, gpu.memory or None) for gpu in facts.gpus)
        node = LiveNode(
            NODE,
            "serving",
            hostname=facts.hostname,
            system=facts.system,
            processor=facts.processor,
            cores=facts.cores,
            memory=facts.memory,
            memory_used=sensors.memory_used,
            load=sensors.load,
            temperature=sensors.temperature,
            gpus=gpus,
            models=tuple(models),
        )
        if not self._children.has_llama:
            return replace(node, state="broken", reason=f"llama.cpp is not installed here: {INSTALL_HINT}")
        return node

    async def _model(self, report: ChildReport) -> LiveModel:
        memory = self._memory_of(report.pid) if report.pid is not None else None
        model = LiveModel(report.id, report.state, report.problem or "", memory)
        reach = self._children.reached(report.id)
        if reach is None:
            return model
        try:
            health = await _ask(reach)
        except (UpstreamError, msgspec.MsgspecError, UnicodeDecodeError):
            return model
        return replace(
            model,
            context=health.context,
            slots=health.slots,
            running=health.running,
            waiting=health.waiting,
            tokens_per_second=health.reply_tokens_per_second or None,
        )


async def _ask(reach: Reach) -> _Health:
    head = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %b\r\n" % (
        reach.origin.port,
        reach.authorization,
    )
    reply = await reach.pool.send(head, b"", ANSWERED_WITHIN)
    return _health_decoder.decode(await reply.read(LARGEST_ANSWER))


def _memory_of(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _temperature() -> float | None:
    read = getattr(psutil, "sensors_temperatures", None)  # not on every system
    if read is None:
        return None
    try:
        found = read()
    except (OSError, RuntimeError):
        return None
    for name in _PROCESSORS:
        if readings := [one.current for one in found.get(name, ()) if one.current]:
            return float(max(readings))
    return None


def _nvidia(run: Probe) -> Iterator[LiveGpu]:
    listed = run(["nvidia-smi", f"--query-gpu={_GPU_COLUMNS}", "--format=csv,noheader,nounits"])
    for line in listed.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(_GPU_COLUMNS.split(",")):
            continue
        memory, used, load, temperature, power = map(_number, cells[1:])
        yield LiveGpu(
            cells[0],
            int(memory) << 20 if memory is not None else None,
            int(used) << 20 if used is not None else None,
            load / 100 if load is not None else None,
            temperature,
            power,
        )


def _number(cell: str) -> float | None:
    """Read a cell; None where it says that nothing is known, in whatever words."""
    try:
        return float(cell)
    except ValueError:
        return None

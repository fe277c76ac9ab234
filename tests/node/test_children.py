from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from shareai_cli.errors import MemoryTaken, ModelUnavailable, UnknownModel
from shareai_cli.node.children import Child, Children, ChildReport
from shareai_cli.node.deaths import LONG_LIFE, MOST
from shareai_cli.node.memory import Free
from shareai_cli.node.room import Room
from shareai_cli.types import LocalModel
from shareai_cli.wire.deadlines import Deadlines
from tests.support.clock import FakeClock
from tests.support.waiting import alive, turns, until


class Kept:
    """Children with a clock of the test's."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.deadlines = Deadlines()
        self.made: list[Children] = []

    def serve(self, *models: LocalModel, has_llama: bool = True, memory: int = 64 << 30) -> Children:
        children = Children(
            models,
            environ=os.environ,
            has_llama=has_llama,
            deadlines=self.deadlines,
            clock=self.clock,
            room=Room(lambda: Free(memory)),
        )
        self.made.append(children)
        return children


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    kept = Kept()
    yield kept
    for children in kept.made:
        await children.close()
    kept.deadlines.close()


def pid_of(children: Children) -> int:
    [report] = children.reports()
    assert report.pid is not None
    return report.pid


async def test_the_first_requests_share_one_start_and_closing_ends_it(kept: Kept, demo: LocalModel) -> None:
    """A model is loaded by its first request, once, however many come together."""
    children = kept.serve(demo)
    assert children.reports()[0].state == "unloaded"
    leases = await asyncio.gather(*(children.lease(demo.id) for _ in range(5)))
    assert all(lease.reach is leases[0].reach for lease in leases)
    pid = pid_of(children)
    assert alive(pid)
    await children.close()
    assert not alive(pid)


async def test_one_that_gives_up_waiting_does_not_end_the_start_for_others(
    kept: Kept, demo: LocalModel
) -> None:
    """A client that leaves while the model loads costs the others nothing."""
    children = kept.serve(demo)
    loop = asyncio.get_running_loop()
    leaving, staying = (loop.create_task(children.lease(demo.id)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).reach.origin.port
    assert leaving.cancelled()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_dead_process_is_started_again_after_growing_waits(
    kept: Kept, demo: LocalModel, death: signal.Signals
) -> None:
    """Requests meanwhile are told how it ended and when to come again; the wait doubles."""
    children = kept.serve(demo)
    for wait in (0.5, 1.0):
        await children.lease(demo.id)
        pid = pid_of(children)
        os.kill(pid, death)
        await until(lambda: children.reports()[0].state == "waiting")
        with pytest.raises(ModelUnavailable, match=f"signal {int(death)}") as caught:
            await children.lease(demo.id)
        assert caught.value.retry_after == pytest.approx(wait)
        kept.clock.forward(wait)
        await children.lease(demo.id)
        assert pid_of(children) != pid


@pytest.mark.parametrize("damage", ["missing", "cut"])
async def test_an_unreadable_model_is_named_and_tried_again_later(
    kept: Kept, demo: LocalModel, damage: str, tmp_path: Path
) -> None:
    """The file is in the message; once it is mended and the wait is over, the model is served."""
    path = tmp_path / "broken.gguf"
    whole = Path(demo.path).read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:100_000])
    children = kept.serve(LocalModel("broken", str(path)))
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match=r"broken\.gguf") as caught:
            await children.lease("broken")
        assert caught.value.retry_after == pytest.approx(0.5)
    assert children.reports()[0].state == "waiting"
    path.write_bytes(whole)
    kept.clock.forward(0.5)
    assert (await children.lease("broken")).reach.origin.port


async def die(kept: Kept, children: Children, demo: LocalModel, *, after: float = 0.0) -> str:
    """Have a model loaded, killed after seconds of service, and return the state that it is in then."""
    await children.lease(demo.id)
    pid = pid_of(children)
    kept.clock.forward(after)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: children.reports()[0].pid is None)
    await until(lambda: children.reports()[0].problem)
    state = children.reports()[0].state
    kept.clock.forward(60)
    return state


async def test_a_model_that_dies_three_times_in_a_row_is_set_aside_until_it_is_asked_for_again(
    kept: Kept, demo: LocalModel
) -> None:
    """No wait brings it back; the report says why, and being told of it anew does."""
    children = kept.serve(demo)
    assert [await die(kept, children, demo) for _ in range(3)] == ["waiting", "waiting", "set aside"]
    with pytest.raises(ModelUnavailable, match=r"signal 9.*set aside.*shareai node register") as caught:
        await children.lease(demo.id)
    assert caught.value.retry_after is None
    [report] = children.reports()
    assert report.state == "set aside"
    assert "signal 9" in (report.problem or "")
    await children.replace([demo])
    assert children.reports()[0].state == "unloaded"
    assert await die(kept, children, demo) == "waiting"
    assert (await children.lease(demo.id)).reach.origin.port


async def test_deaths_after_a_long_service_are_not_in_a_row(kept: Kept, demo: LocalModel) -> None:
    """A model that serves for hours between them is started again every time."""
    children = kept.serve(demo)
    states = [await die(kept, children, demo, after=LONG_LIFE) for _ in range(MOST + 1)]
    assert states == ["waiting"] * (MOST + 1)


async def test_a_model_that_cannot_be_loaded_is_set_aside_and_one_without_a_file_is_not(
    kept: Kept, demo: LocalModel, tmp_path: Path
) -> None:
    """Loading costs minutes each time; that a file is missing is seen at once, and may be mended any time."""
    states: dict[str, list[str]] = {"missing": [], "odd": []}
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(Path(demo.path).read_bytes().replace(b"token_embd.weight", b"token_embd.wexght"))
    children = kept.serve(LocalModel("missing", str(tmp_path / "none.gguf")), LocalModel("odd", str(odd)))
    for _ in range(MOST):
        for name, seen in states.items():
            with pytest.raises(ModelUnavailable):
                await children.lease(name)
            seen.append(next(one.state for one in children.reports() if one.id == name))
        kept.clock.forward(60)
    assert states["missing"] == ["waiting"] * MOST
    assert states["odd"] == ["waiting"] * (MOST - 1) + ["set aside"]


async def test_unknown_models_and_a_missing_llama_are_said(kept: Kept, demo: LocalModel) -> None:
    """The message names what is served, or the line that adds local models."""
    with pytest.raises(UnknownModel, match="shareai-demo"):
        await kept.serve(demo).lease("other")
    with pytest.raises(ModelUnavailable, match="pip install llama-cpp-python"):
        await kept.serve(demo, has_llama=False).lease(demo.id)


async def test_other_models_replace_those_that_went(kept: Kept, demo: LocalModel) -> None:
    """What stays the same keeps its process; what went ends."""
    second = LocalModel("second", demo.path, context=512)
    children = kept.serve(demo, second)
    first_lease = await children.lease(demo.id)
    await children.lease("second")
    [gone] = [report.pid for report in children.reports() if report.id == "second"]
    assert gone is not None
    await children.replace([demo, LocalModel("third", demo.path)])
    assert not alive(gone)
    assert (await children.lease(demo.id)).reach is first_lease.reach
    assert [report.state for report in children.reports()] == ["ready", "unloaded"]


async def test_another_idle_time_is_taken_up_without_loading_anew(kept: Kept, demo: LocalModel) -> None:
    """A person who changes it does not end the answers under way."""
    children = kept.serve(replace(demo, idle=60.0))
    (await children.lease(demo.id)).give_back()
    pid = pid_of(children)
    await children.replace([replace(demo, idle=600.0)])
    kept.clock.forward(599.0)
    children.unload_idle()
    assert pid_of(children) == pid
    kept.clock.forward(1.0)
    children.unload_idle()
    assert children.reports()[0].state == "unloaded"


async def test_a_model_that_nobody_asks_for_is_unloaded(kept: Kept, demo: LocalModel) -> None:
    """As long after its last answer as it may be idle; the next request loads it again."""
    children = kept.serve(replace(demo, idle=60.0))
    (await children.lease(demo.id)).give_back()
    first = pid_of(children)
    kept.clock.forward(59.0)
    children.unload_idle()
    (await children.lease(demo.id)).give_back()
    kept.clock.forward(59.0)
    children.unload_idle()
    assert pid_of(children) == first
    kept.clock.forward(1.0)
    children.unload_idle()
    assert children.reports()[0] == ChildReport(demo.id, "unloaded")
    await children.lease(demo.id)
    assert pid_of(children) != first
    assert not alive(first)


async def test_a_busy_model_is_never_unloaded(kept: Kept, demo: LocalModel) -> None:
    """However long its answer takes; a lease that is given back twice counts once."""
    children = kept.serve(replace(demo, idle=60.0))
    first, second = await children.lease(demo.id), await children.lease(demo.id)
    pid = pid_of(children)
    for _ in range(2):
        kept.clock.forward(3600.0)
        children.unload_idle()
        assert pid_of(children) == pid
        first.give_back()
        first.give_back()
    second.give_back()
    kept.clock.forward(60.0)
    children.unload_idle()
    assert children.reports()[0].state == "unloaded"


async def test_a_model_that_is_to_stay_stays(kept: Kept, demo: LocalModel) -> None:
    """An idle time of 0 is none."""
    children = kept.serve(replace(demo, idle=0.0))
    (await children.lease(demo.id)).give_back()
    kept.clock.forward(1e9)
    children.unload_idle()
    assert children.reports()[0].state == "ready"


async def test_looking_for_idle_models_goes_on(kept: Kept, demo: LocalModel) -> None:
    """Every few seconds, for as long as the agent runs."""
    children = kept.serve(replace(demo, idle=60.0))
    (await children.lease(demo.id)).give_back()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        kept.clock.forward(30.0)
        if len(slept) > 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await children.keep_tidy(sleep)
    assert slept == [5.0] * 4
    assert children.reports()[0].state == "unloaded"


async def test_where_two_do_not_fit_one_makes_room_for_the_other(kept: Kept, demo: LocalModel) -> None:
    """Its process has ended before the other one's begins; it is loaded again when it is asked for."""
    second = LocalModel("second", demo.path)
    children = kept.serve(demo, second, memory=300 << 20)
    (await children.lease(demo.id)).give_back()
    former = children.reports()[0].pid
    assert former is not None
    lease = await children.lease("second")
    assert not alive(former)
    assert [one.state for one in children.reports()] == ["unloaded", "ready"]
    waiting = asyncio.get_running_loop().create_task(children.lease(demo.id))
    await until(lambda: [one.state for one in children.reports()] == ["starting", "ready"])
    await turns()
    assert not waiting.done()
    lease.give_back()
    (await waiting).give_back()
    assert [one.state for one in children.reports()] == ["ready", "unloaded"]


async def test_waiting_in_vain_for_memory_is_no_failure_of_the_model(kept: Kept, demo: LocalModel) -> None:
    """It is refused with a time, and may be asked for at once."""
    children = Children(
        [demo, LocalModel("second", demo.path)],
        environ=os.environ, has_llama=True, deadlines=kept.deadlines, clock=kept.clock,
        room=Room(lambda: Free(300 << 20), patience=0.05),
    )  # fmt: skip
    kept.made.append(children)
    lease = await children.lease(demo.id)
    with pytest.raises(MemoryTaken, match="no memory for 'second' beside shareai-demo"):
        await children.lease("second")
    assert children.reports()[1] == ChildReport("second", "unloaded")
    lease.give_back()
    assert (await children.lease("second")).reach.origin.port


async def test_requests_wait_in_order_while_a_model_loads(kept: Kept, demo: LocalModel) -> None:
    """Who came first is served first."""
    children = kept.serve(demo)
    served: list[int] = []

    async def ask(number: int) -> None:
        await children.lease(demo.id)
        served.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(ask(number))
    assert served == list(range(20))


async def test_closing_while_a_model_loads_leaves_nothing(kept: Kept, demo: LocalModel) -> None:
    """A gateway that is stopped at once ends what it had begun."""
    child = Child(
        demo,
        room=Room(lambda: Free(64 << 30)),
        tenants=tuple,
        environ=os.environ,
        deadlines=kept.deadlines,
        clock=kept.clock,
    )
    asking = asyncio.get_running_loop().create_task(child.lease())
    await asyncio.sleep(0.05)
    await child.close()
    await asyncio.wait([asking])
    assert asking.cancelled() or asking.exception() is not None
    with pytest.raises(ModelUnavailable):
        await child.lease()

"""Models are let into the memory one after the other; what is used no more makes room, busy ones do not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from shareai_cli.catalog.footprint import least_footprint
from shareai_cli.catalog.gguf import ModelFile
from shareai_cli.errors import MemoryTaken
from shareai_cli.node.layout import Need
from shareai_cli.node.memory import Free
from shareai_cli.node.room import Resident, Room, leavers, left_by
from shareai_cli.types import LocalModel
from tests.support.waiting import turns

GIB = 1 << 30


def resident(
    name: str, size: int, *, held: int = 0, used_at: float = 0.0, busy: bool = False, ready: bool = True
) -> Resident:
    return Resident(name, Need(size), held, ready, busy, used_at)


def names(going: object) -> list[str] | None:
    return None if going is None else [one.id for one in going]  # type: ignore[attr-defined]


def test_weights_that_lie_in_files_are_not_free() -> None:
    """The system counts them as free; what a model is seen to have of its own is gone already."""
    free = Free(10 * GIB)
    assert left_by([resident("a", 4 * GIB, held=GIB)], free).ram == 7 * GIB
    assert left_by([resident("a", 4 * GIB, held=5 * GIB)], free).ram == 10 * GIB
    assert left_by([resident("a", 40 * GIB)], free).ram == 0


def test_gpu_memory_of_a_loaded_model_is_measured_and_of_a_loading_one_is_not() -> None:
    """What it will take is counted until it has it."""
    loading = Resident("a", Need(GIB, 6 * GIB), 0, False, True, 0.0)
    loaded = Resident("a", Need(GIB, 6 * GIB), 0, True, False, 0.0)
    assert left_by([loading], Free(8 * GIB, 8 * GIB)).vram == 2 * GIB
    assert left_by([loaded], Free(8 * GIB, 8 * GIB)).vram == 8 * GIB


@pytest.mark.parametrize(
    ("need", "going"),
    [
        (2, []),
        (3, ["old"]),
        (5, ["old", "new"]),
        (8, ["old", "new", "busy"]),
        (20, None),
    ],
)
def test_the_least_recently_used_go_first_and_busy_ones_last(need: int, going: list[str] | None) -> None:
    """As few as have to; one that is loading never."""
    residents = [
        resident("new", 2 * GIB, used_at=9.0),
        resident("loading", 5 * GIB, ready=False),
        resident("old", 2 * GIB, used_at=1.0),
        resident("busy", 3 * GIB, used_at=0.0, busy=True),
    ]
    assert names(leavers(Need(need * GIB), residents, Free(14 * GIB))) == going


def test_one_that_is_too_small_to_help_stays() -> None:
    """Though it was used longest ago."""
    residents = [resident("small", 1 << 20, used_at=0.0), resident("large", 4 * GIB, used_at=5.0)]
    assert names(leavers(Need(4 * GIB), residents, Free(5 * GIB))) == ["large"]


class Tenant:
    """A model in a room, whose process is nothing but these fields."""

    def __init__(self, house: House, name: str, size: int) -> None:
        self.house = house
        self.name = name
        self.file = ModelFile(
            name, f"/{name}.gguf", size, "llama", 4096, layers=4, cache_bytes_per_token=1024
        )
        self.need: Need | None = None
        self.busy = False
        self.used_at = 0.0

    def resident(self) -> Resident | None:
        if self.need is None:
            return None
        return Resident(self.name, self.need, 0, True, self.busy, self.used_at)

    def unload(self) -> asyncio.Task[None]:
        assert not self.busy
        self.need = None
        self.house.gone.append(self.name)
        return asyncio.get_running_loop().create_task(asyncio.sleep(0))

    async def load(self) -> None:
        model = LocalModel(self.name, self.file.path)
        _, self.need = await self.house.room.admit(model, self.file, self.house.tenants.values)
        self.house.came.append(self.name)
        self.used_at = float(len(self.house.came))

    def leave_off(self) -> None:
        self.busy = False
        self.house.room.changed()


class House:
    """A room for models of these sizes in GiB, of which two of the size 3 fit."""

    def __init__(self, sizes: Mapping[str, int], *, patience: float = 30.0) -> None:
        self.room = Room(lambda: Free(9 * GIB), patience=patience)
        self.tenants = {name: Tenant(self, name, size * GIB) for name, size in sizes.items()}
        self.came: list[str] = []
        self.gone: list[str] = []


async def test_a_model_that_fits_costs_nobody_the_place() -> None:
    """And one that does not costs the least recently used one its place."""
    house = House({"a": 3, "b": 3, "c": 3})
    for name in ("a", "b"):
        await house.tenants[name].load()
    assert house.gone == []
    house.tenants["a"].used_at = 9.0
    await house.tenants["c"].load()
    assert house.gone == ["b"]


async def test_a_busy_model_is_waited_for_and_not_unloaded() -> None:
    """Once it is done it makes room at once; until then those who ask for it later wait behind."""
    house = House({"a": 5, "b": 5})
    a, b = house.tenants.values()
    await a.load()
    a.busy = True
    loop = asyncio.get_running_loop()
    coming = loop.create_task(b.load())
    await _decided(house, "a")
    passing = loop.create_task(house.room.pass_by("a"))
    await turns()
    assert (house.gone, coming.done(), passing.done()) == ([], False, False)
    a.leave_off()
    await asyncio.wait_for(coming, 5)
    await asyncio.wait_for(passing, 5)
    assert (house.came, house.gone) == (["a", "b"], ["a"])


async def test_nobody_waits_for_a_busy_model_for_ever() -> None:
    """It is said who has the memory and when to come again; who has it keeps it, and is asked for again."""
    house = House({"a": 5, "b": 5}, patience=0.05)
    a, b = house.tenants.values()
    await a.load()
    a.busy = True
    with pytest.raises(MemoryTaken, match="'b' beside a") as caught:
        await b.load()
    assert caught.value.retry_after == 5.0
    await asyncio.wait_for(house.room.pass_by("a"), 5)
    assert (house.came, house.gone) == (["a"], [])


async def test_models_come_in_in_the_order_in_which_they_were_asked_for() -> None:
    """A small one that would fit at once does not overtake."""
    house = House({"a": 5, "b": 5, "small": 1})
    a, b, small = house.tenants.values()
    await a.load()
    a.busy = True
    loop = asyncio.get_running_loop()
    coming = [loop.create_task(one.load()) for one in (b, small)]
    await _decided(house, "a")
    await turns()
    assert house.came == ["a"]
    a.leave_off()
    await asyncio.wait_for(asyncio.gather(*coming), 5)
    assert house.came == ["a", "b", "small"]


async def test_a_model_that_fits_nowhere_is_tried_alone() -> None:
    """What is worked out is an estimate; the others make room for it."""
    house = House({"a": 3, "huge": 90})
    a, huge = house.tenants.values()
    await a.load()
    await huge.load()
    assert house.gone == ["a"]
    assert huge.need is not None
    assert huge.need.ram >= least_footprint(huge.file).total


async def _decided(house: House, awaited: str) -> None:
    """Wait until a model is known to be waited for."""
    async with asyncio.timeout(5):
        while repr(awaited) not in repr(house.room):  # noqa: ASYNC110 - it becomes so in a thread's time
            await asyncio.sleep(0.002)

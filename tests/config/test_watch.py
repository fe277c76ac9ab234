"""A running gateway takes up changes to its configuration, and keeps the last good one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import Settings, load
from shareai_cli.config.watch import ConfigWatcher
from shareai_cli.errors import ConfigurationError, ShareAIError
from shareai_cli.paths import Paths
from shareai_cli.types import Actor


class Taker:
    """Keeps what the watcher hands over."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.errors: list[ShareAIError] = []
        self.by: list[str] = []
        self.refuses = False
        self.told = asyncio.Event()

    async def changed(self, settings: Settings, by: Actor) -> None:
        self.by.append(by.name)
        if self.refuses:
            raise ConfigurationError("The variable A is not set.")
        self.settings.append(settings)
        self.told.set()

    async def failed(self, error: ShareAIError, by: Actor) -> None:
        self.by.append(by.name)
        self.errors.append(error)


@pytest.fixture
def file(paths: Paths) -> Path:
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text("[server]\nport = 1\n")
    return paths.config_file


def watcher(paths: Paths, taker: Taker, every: float = 1.0) -> ConfigWatcher:
    return ConfigWatcher(
        paths.config_file,
        lambda: load(paths, {}, presets=PRESETS),
        changed=taker.changed,
        failed=taker.failed,
        every=every,
    )


def write(file: Path, text: str | None) -> None:
    """Write the file anew; None removes it."""
    file.unlink() if text is None else file.write_text(text)


async def test_only_a_change_is_handed_over(paths: Paths, file: Path) -> None:
    """A file that stays as it is is read no second time."""
    taker = Taker()
    watching = watcher(paths, taker)
    assert not await watching.look()
    write(file, "[server]\nport = 22\n")
    assert await watching.look()
    assert not await watching.look()
    assert [one.server.port for one in taker.settings] == [22]


async def test_a_broken_file_is_reported_once_and_mended_later(paths: Paths, file: Path) -> None:
    """Until then nothing is handed over."""
    taker = Taker()
    watching = watcher(paths, taker)
    write(file, "[server]\nprot = 22\n")
    await watching.look()
    await watching.look()
    assert [str(error) for error in taker.errors] == [
        f"{file}, line 2: server.prot: unknown key. Did you mean port?"
    ]
    assert taker.settings == []
    write(file, "[server]\nport = 333\n")
    await watching.look()
    assert taker.settings[0].server.port == 333


async def test_a_file_that_is_gone_changes_nothing(paths: Paths, file: Path) -> None:
    """Editors remove a file before they write it again."""
    taker = Taker()
    watching = watcher(paths, taker)
    write(file, None)
    await watching.look()
    assert (taker.settings, len(taker.errors)) == ([], 1)
    write(file, "[server]\nport = 4\n")
    await watching.look()
    assert taker.settings[0].server.port == 4


async def test_settings_that_cannot_be_taken_up_are_reported(paths: Paths, file: Path) -> None:
    """A well-formed file may still name a key that cannot be had."""
    taker = Taker()
    taker.refuses = True
    watching = watcher(paths, taker)
    write(file, "[server]\nport = 55\n")
    await watching.look()
    assert [str(error) for error in taker.errors] == ["The variable A is not set."]


async def test_who_has_it_looked_at_is_passed_on(paths: Paths, file: Path) -> None:
    """Of what is taken up as of what is refused; where nobody does, it is the gateway."""
    taker = Taker()
    watching = watcher(paths, taker)
    write(file, "[server]\nport = 22\n")
    await watching.look(Actor("ann", "admin API"))
    write(file, "[server]\nprot = 333\n")
    await watching.look(Actor("bob", "admin API"))
    write(file, "[server]\nport = 4444\n")
    await watching.look()
    assert taker.by == ["ann", "bob", "gateway"]


async def test_a_change_that_goes_on_is_not_taken_up_half(paths: Paths, file: Path) -> None:
    """By itself it waits until the file stays as it is, for whoever has it looked at not."""
    taker = Taker()
    watching = watcher(paths, taker, every=0.1)
    watching.start()
    async with asyncio.timeout(20):
        for number in range(10):  # each is another size
            write(file, "[server]\nport = 7\n" + "#" * number)
            await asyncio.sleep(0.03)
        assert taker.settings == []
        await watching.look(Actor("ann", "admin API"))
        assert taker.by == ["ann"]
        write(file, "[server]\nport = 8\n")
        taker.told.clear()
        await taker.told.wait()
    await watching.close()
    assert [one.server.port for one in taker.settings] == [7, 8]
    assert taker.by == ["ann", "gateway"]


async def test_it_looks_by_itself_until_it_is_closed(paths: Paths, file: Path) -> None:
    """Also for a file that did not exist when it began; closing twice does no harm."""
    write(file, None)
    taker = Taker()
    watching = watcher(paths, taker, every=0.01)
    watching.start()
    watching.start()
    assert "running" in repr(watching)
    write(file, "[server]\nport = 6\n")
    await asyncio.wait_for(taker.told.wait(), 20)
    await watching.close()
    await watching.close()
    assert taker.settings[-1].server.port == 6
    assert "stopped" in repr(watching)

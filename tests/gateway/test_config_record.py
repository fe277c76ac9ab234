"""What the audit is told of the configuration, while a gateway runs and from one run to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import Settings, load
from shareai_cli.errors import ConfigurationError, LedgerUnavailable
from shareai_cli.gateway.config_record import ConfigRecord
from shareai_cli.paths import Paths
from shareai_cli.types import Actor

ANN = Actor("ann", "admin API")
PROVIDER = '[providers.a]\nbase_url = "https://a.example/v1"\nkeys = ["env:A"]\n'
LIMIT = "[limits.organization]\nrequests_per_day = 5\n"


class Rows:
    """The audit, in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, object, object]] = []
        self.is_broken = False

    def __call__(self, by: Actor, action: str, subject: str, *, before: object, after: object) -> None:
        if self.is_broken:
            raise LedgerUnavailable("The disk is full.")
        self.rows.append((by.name, action, before, after))


class Telling:
    """A record over such an audit, and what is configured."""

    def __init__(self, paths: Paths) -> None:
        paths.make_state()
        paths.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.paths = paths
        self.rows = Rows()
        self.notices: list[str] = []
        self.record = self.made()

    def made(self, memory: Path | None = None) -> ConfigRecord:
        return ConfigRecord(
            self.rows, self.paths.config_file, memory or self.paths.in_force_file, self.notices.append
        )

    def settings(self, text: str, **options: Any) -> Settings:
        self.paths.config_file.write_text(text)
        return load(self.paths, {"A": "sk-a", "B": "sk-b"}, presets=PRESETS, **options)


@pytest.fixture
def telling(paths: Paths) -> Telling:
    return Telling(paths)


async def test_a_change_is_told_with_who_made_it(telling: Telling) -> None:
    """What was and what is, as far as they differ."""
    former, now = telling.settings(PROVIDER), telling.settings(PROVIDER + LIMIT)
    await telling.record.changed(former, now, ANN)
    limits = {"limits": {"organization": {"requests_per_day": 5}}}
    assert telling.rows.rows == [("ann", "config.change", {"limits": {}}, limits)]


async def test_settings_that_stay_the_same_are_not_told(telling: Telling) -> None:
    """A comment, an order of tables, a file that was only touched."""
    former = telling.settings(PROVIDER + LIMIT)
    await telling.record.changed(former, telling.settings(LIMIT + "# Five.\n" + PROVIDER), ANN)
    assert telling.rows.rows == []


async def test_what_differs_in_a_secret_alone_is_told_without_it(telling: Telling) -> None:
    """That it changed, and nothing of what it is."""
    header = '[providers.a.headers]\nx-api = "{}"\n'
    former = telling.settings(PROVIDER + header.format("sk-live-one"))
    await telling.record.changed(former, telling.settings(PROVIDER + header.format("sk-live-two")), ANN)
    assert telling.rows.rows == [("ann", "config.change", None, None)]
    assert "sk-live" not in telling.paths.in_force_file.read_text()


async def test_what_was_changed_while_no_gateway_ran_is_told_at_the_next_start(telling: Telling) -> None:
    """Once; of the first start there is nothing to tell, and another port is no other configuration."""
    await telling.record.begun(telling.settings(PROVIDER), ANN)
    await telling.made().begun(telling.settings(PROVIDER, host="127.0.0.1", port=0), ANN)
    assert telling.rows.rows == []
    for _ in range(2):
        await telling.made().begun(telling.settings(PROVIDER + LIMIT), ANN)
    [(_, action, before, after)] = telling.rows.rows
    assert (action, before) == ("config.change", {"limits": {}})
    assert after == {"limits": {"organization": {"requests_per_day": 5}}}


async def test_what_was_taken_up_is_not_told_again_at_the_next_start(telling: Telling) -> None:
    """It was told when it was changed."""
    former, now = telling.settings(PROVIDER), telling.settings(PROVIDER + LIMIT)
    await telling.record.begun(former, ANN)
    await telling.record.changed(former, now, ANN)
    await telling.made().begun(now, ANN)
    assert len(telling.rows.rows) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": \udcff}'])
async def test_a_memory_that_cannot_be_read_is_none(telling: Telling, text: str) -> None:
    """It is written anew, and nothing is told."""
    telling.paths.in_force_file.write_text(text, errors="surrogateescape")
    await telling.record.begun(telling.settings(PROVIDER), ANN)
    assert telling.rows.rows == []
    await telling.made().begun(telling.settings(PROVIDER + LIMIT), ANN)
    assert len(telling.rows.rows) == 1


async def test_nothing_of_it_fails_a_gateway(telling: Telling) -> None:
    """A memory that cannot be written, an audit that takes no rows: the one is silent, the other is said."""
    nowhere = telling.made(telling.paths.state / "none" / "in-force.json")
    await nowhere.begun(telling.settings(PROVIDER), ANN)
    telling.rows.is_broken = True
    await telling.record.refused(ConfigurationError("The file is broken."), ANN)
    assert telling.notices == ["The audit has no row of that: The disk is full."]

"""Keys and limits are taken up anew after each change, from the accounts and the configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.gateway.roster import AllLimits, Roster
from shareai_cli.types import Caller, Limits, RateLimit, Subject

TEAM, ROUTE = Subject("team", "dev"), Subject("route", "chat")
LAPTOP = {b"laptop": Caller(1, "laptop", "dev")}


def sixty(number: int = 60) -> Limits:
    return Limits((RateLimit("requests", "minute", number),))


class Accounts:
    """What the database has; the first reading of it may be held up."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Caller] = dict(LAPTOP)
        self.teams: dict[Subject, Limits] = {TEAM: sixty()}
        self.is_held = False
        self.began, self.may_end = threading.Event(), threading.Event()

    def active_keys(self) -> Mapping[bytes, Caller]:
        return dict(self.keys)

    def limits(self) -> AllLimits:
        found, is_held, self.is_held = dict(self.teams), self.is_held, False
        if is_held:
            self.began.set()
            assert self.may_end.wait(10)
        return found


class Gateway:
    """Notes what it is to go by."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.problem: LedgerUnavailable | None = None

    def replace_keys(self, callers: Mapping[bytes, Caller]) -> None:
        self.told.append(callers)

    async def replace_limits(self, limits: AllLimits) -> None:
        self.told.append(limits)
        if self.problem is not None:
            raise self.problem


class Scene:
    """A roster with fakes around it."""

    def __init__(self) -> None:
        self.accounts, self.gateway = Accounts(), Gateway()
        self.declared: dict[Subject, Limits] = {ROUTE: sixty(5)}
        self.notices: list[str] = []
        self.roster = Roster(
            self.accounts, self.gateway, lambda: self.declared, dict(self.accounts.teams), self.notices.append
        )


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_keys_come_first_and_limits_from_both(scene: Scene) -> None:
    """What is revoked must not wait for what was used to be counted."""
    await scene.roster.accounts_changed()
    assert scene.gateway.told == [LAPTOP, {ROUTE: sixty(5), TEAM: sixty()}]


async def test_a_change_of_the_configuration_leaves_those_of_the_accounts(scene: Scene) -> None:
    """Also before the accounts have changed for the first time."""
    scene.declared = {}
    await scene.roster.limits_changed()
    assert scene.gateway.told == [{TEAM: sixty()}]


async def test_what_was_read_last_is_taken_up_last(scene: Scene) -> None:
    """However long the reading before took."""
    accounts = scene.accounts
    accounts.is_held = True
    async with asyncio.TaskGroup() as changes:
        changes.create_task(scene.roster.accounts_changed())
        await asyncio.to_thread(accounts.began.wait, 10)
        accounts.keys, accounts.teams = {}, {}
        second = changes.create_task(scene.roster.accounts_changed())
        await asyncio.wait({second}, timeout=0.1)
        accounts.may_end.set()
    assert scene.gateway.told[-2:] == [{}, {ROUTE: sixty(5)}]


async def test_accounts_that_tell_nothing_of_the_past_are_no_reason_to_stop(scene: Scene) -> None:
    """The limits hold; the person who watches is told."""
    scene.gateway.problem = LedgerUnavailable("The disk is gone.")
    await scene.roster.accounts_changed()
    (notice,) = scene.notices
    assert "The disk is gone." in notice

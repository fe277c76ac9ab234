"""The Keys screen beside a real gateway, and without one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from shareai_cli.cli.watched import OwnSource
from shareai_cli.client import HttpAdmin, find_gateway
from shareai_cli.dashboard.key_form import read_expiry, read_limits
from shareai_cli.errors import UsageError
from tests.dashboard.scenes import NOW_MS
from tests.support.dashboards import ShownDashboard, shown
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

Answer = TypeVar("Answer")


async def ask_with(gateway: RunningGateway, key: str, **fields: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return await gateway.client.post(CHAT, json={**QUESTION, **fields}, headers=headers)


async def asked(gateway: RunningGateway, call: Callable[[HttpAdmin], Answer]) -> Answer:
    """Ask the gateway something."""
    where = find_gateway(gateway.paths)
    assert where is not None
    with closing(HttpAdmin(where)) as admin:
        return await asyncio.to_thread(call, admin)


def shown_key(screen: ShownDashboard) -> str:
    """Return the key that stands on the screen."""
    [word] = [word for word in screen.text.split() if word.startswith("sk-shareai-") and "..." not in word]
    return word


async def test_a_team_is_made_and_removed(tmp_path: Path) -> None:
    """What cannot be is said below the line; removing asks first."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with (
            await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway,
            shown(OwnSource(gateway.paths), size=(120, 30)) as screen,
        ):
            await screen.press("g", "k", "2")
            await screen.until("1 in all", "default")
            await screen.press("n")
            await screen.until("A new team")
            await screen.type("dev")
            await screen.press("tab")
            await screen.type("tokens_per_day=x")
            await screen.press("enter")
            await screen.until("✕", "should be a whole number")
            await screen.press("backspace", "9", "enter")
            await screen.until("2 in all", "tokens_per_day=9")
            assert [one.name for one in await asked(gateway, HttpAdmin.list_teams)] == ["default", "dev"]
            await screen.press("down", "x")
            await screen.until("Remove the team dev?")
            await screen.press("y")
            await screen.until("1 in all", "The team dev is removed")


async def test_a_key_is_made_shown_once_and_copied(tmp_path: Path) -> None:
    """It works at once, for what it is for, and its use is shown against its limits."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with (
            await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway,
            shown(OwnSource(gateway.paths), size=(150, 30)) as screen,
        ):
            await screen.press("g", "k")
            await screen.until("1 valid, 0 no more", "● valid", "everything")
            await screen.press("n")
            await screen.until("A new key")
            await screen.type("ci")
            await screen.press("tab", "tab")
            await screen.type("chat")
            await screen.press("tab")
            await screen.type("3d")
            await screen.press("tab")
            await screen.type("requests_per_hour=2")
            await screen.press("tab", "y", "enter")
            await screen.until("which is shown this once")
            key = shown_key(screen)
            await screen.press("c")
            await screen.until("Copied")
            assert screen.app.clipboard == key
            await screen.press("escape")
            await screen.until("2 valid, 0 no more", "▲ ends in 3 d", "requests_per_hour")
            assert key not in screen.text
            for model, status in (("chat", 200), ("p1/m1", 403), ("chat", 200), ("chat", 429)):
                assert (await ask_with(gateway, key, model=model)).status_code == status
            await screen.press("3")
            await screen.until("key/ci", "✕ used up", "requests_per_hour")
            [made] = [one for one in await asked(gateway, HttpAdmin.list_keys) if one.name == "ci"]
            assert (made.may_mint, made.allowed) == (True, ("chat",))


async def test_a_key_is_revoked_once_a_person_agrees(tmp_path: Path) -> None:
    """Enter tells everything of one; nothing but `y` revokes it; the audit has it on top, and is verified."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with (
            await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway,
            shown(OwnSource(gateway.paths), size=(120, 34)) as screen,
        ):
            await screen.press("g", "k", "4")
            await screen.until("key.create", "[audit]")
            await screen.press("1", "enter")
            await screen.until("mints keys", "shown as")
            await screen.press("escape")
            for no in ("n", "escape"):
                await screen.press("x")
                await screen.until("Revoke the key default", "y  Yes")
                await screen.press(no)
                await screen.until_gone("y  Yes")
            assert (await gateway.ask()).status_code == 200
            await screen.press("x")
            await screen.until("Revoke the key default")
            await screen.press("y")
            await screen.until("The key default is revoked", "0 valid, 1 no more", "✕ revoked")
            assert (await gateway.ask()).status_code == 401
            await screen.press("x")
            await screen.until("is revoked already")
            await screen.press("4")
            await screen.until("key.revoke")
            await screen.press("v")
            await screen.until("✓ The audit is whole")
            await screen.press("enter")
            await screen.until("what         key.revoke", "before", '"revoked_ms": null')
            await screen.press("escape", "question_mark")
            await screen.until("Verify", "Look up again")


async def test_a_refused_change_is_told_and_changes_nothing(tmp_path: Path) -> None:
    """A name that is taken, a team that there is not, a time that is none; a team that has keys."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            async with shown(OwnSource(gateway.paths), size=(120, 30)) as screen:
                await screen.press("g", "k")
                await screen.until("1 valid, 0 no more")
                await screen.press("n")
                await screen.until("A new key")
                await screen.type("default")
                await screen.press("enter")
                await screen.until("✕ There is a key named 'default' already")
                await screen.press("2", "tab")
                await screen.type("nobodys")
                await screen.press("enter")
                await screen.until("There is no team named 'nobodys'")
                await screen.press("tab", "tab")
                await screen.type("soon")
                await screen.press("enter")
                await screen.until("'soon' is no time to come")
                await screen.press("escape", "2", "x")
                await screen.until("Remove the team default?")
                await screen.press("y")
                await screen.until("always exists")
            listed = (await gateway.shareai("key", "list", "--json")).json["keys"]
            assert [one["name"] for one in listed] == ["default"]


async def test_without_a_gateway_keys_are_made_in_the_accounts(tmp_path: Path) -> None:
    """And the audit that somebody has changed is told to be so."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask()).status_code == 200
        async with shown(OwnSource(gateway.paths), size=(120, 30)) as screen:
            await screen.until("○ No gateway runs")
            await screen.press("g", "k")
            await screen.until("1 valid, 0 no more")
            await screen.press("n")
            await screen.type("later")
            await screen.press("enter")
            await screen.until("which is shown this once")
            key = shown_key(screen)
            await screen.press("escape", "3")
            await screen.until("No limits are set")
            with closing(sqlite3.connect(gateway.paths.database)) as database, database:
                database.execute("DROP TRIGGER audit_no_update")
                database.execute("UPDATE audit SET subject = 'other' WHERE id = 1")
            await screen.press("4", "v")
            await screen.until("✕ The audit was tampered with", "Row 1")
        async with await RunningGateway.start(tmp_path, environ=KEYS) as again:
            assert (await ask_with(again, key)).status_code == 200


def test_what_is_typed_is_read() -> None:
    """Limits as the commands take them, and when a key ends; nothing else."""
    assert read_limits("") == {}
    assert read_limits(" requests_per_minute=60, budget_per_month = 50 USD,") == {
        "requests_per_minute": 60,
        "budget_per_month": "50 USD",
    }
    assert read_limits("x=" + "9" * 40) == {"x": "9" * 40}
    for text in ("sixty", "a=", "requests_per_minute"):
        with pytest.raises(UsageError):
            read_limits(text)
    assert read_expiry(" ", NOW_MS) is None
    assert read_expiry("never", NOW_MS) is None
    assert read_expiry("12h", NOW_MS) == NOW_MS + 43_200_000
    assert read_expiry("2026-12-24", NOW_MS) == 1_798_070_400_000
    for text in ("soon", "3x", "99999-01-01", "-1d", "0001-01-01"):
        with pytest.raises(UsageError):
            read_expiry(text, NOW_MS)

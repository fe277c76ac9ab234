"""The audit as a person uses it: what is changed is told, with and without a gateway, and can be verified."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from shareai_cli.cli.audit import PAGE
from shareai_cli.client import find_gateway, system_user
from shareai_cli.ledger import Store
from shareai_cli.paths import find_paths
from shareai_cli.types import GATEWAY, KeyChanges
from tests.end_to_end.test_teams import admin_of
from tests.support.served import KEYS, RunningGateway, eventually, one_route, shareai_here
from tests.support.upstream import FaultUpstream

BY_A_COMMAND = ((system_user(), "admin API"), ("gateway", "configuration file"))
"""Who changed the configuration; the latter where the command took more than a second to say so."""


def hash_of(row: dict[str, Any]) -> str:
    """Compute a row's hash as the export's help tells it."""
    fields = [value for name, value in row.items() if name != "hash"]
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


async def told(home: Path) -> list[tuple[str, str, str, str]]:
    rows = (await shareai_here(home, "audit", "list", "--json")).json["rows"]
    return [(one["action"], one["subject"], one["actor"], one["origin"]) for one in rows]


async def test_changes_are_told_with_and_without_a_gateway(tmp_path: Path) -> None:
    """Who made them and from where; the gateway's own first key too."""
    user = system_user()
    await shareai_here(tmp_path, "key", "create", "early")
    assert await told(tmp_path) == [("key.create", "early", user, "command")]
    async with FaultUpstream() as upstream:
        (tmp_path / "state" / "first-key").write_text("none")
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            for arguments in (
                ("key", "create", "née"),
                ("key", "rotate", "née"),
                ("key", "revoke", "née", "--yes"),
                ("node", "register"),
                ("cache", "clear"),
            ):
                done = await gateway.shareai(*arguments)
                assert done.code == 0, done.err
            rows = await told(tmp_path)
            assert [(action, origin) for action, _, _, origin in rows[1:]] == [
                ("key.create", "admin API"),
                ("key.rotate", "admin API"),
                ("key.revoke", "admin API"),
                ("node.register", "admin API"),
                ("cache.clear", "admin API"),
            ]
            assert {actor for _, _, actor, _ in rows} == {user}
            assert (await gateway.shareai("audit", "verify")).code == 0
    assert len(await told(tmp_path)) == 6
    await shareai_here(tmp_path, "cache", "clear")
    assert (await told(tmp_path))[-1] == ("cache.clear", "every route", user, "command")
    assert (await shareai_here(tmp_path, "audit", "verify", "--json")).json["whole"] is True


async def test_the_first_key_is_the_gateways_own(tmp_path: Path) -> None:
    """Nobody asked for it."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS):
            assert await told(tmp_path) == [("key.create", "default", "gateway", "gateway")]


async def test_a_changed_configuration_is_told_and_a_refused_one(tmp_path: Path) -> None:
    """What it was and what it is, as far as they differ, and without keys; or why it is not in force."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            await gateway.shareai("route", "add", "fresh", "p1/m1")
            row = (await gateway.shareai("audit", "list", "--json", "--limit", "1")).json["rows"][0]
            assert row["action"] == "config.change"
            assert (row["actor"], row["origin"]) in BY_A_COMMAND
            assert row["subject"] == str(gateway.paths.config_file)
            assert json.loads(row["before"]) == {"routes": {}}
            after = json.loads(row["after"])
            assert list(after) == ["routes"]
            assert list(after["routes"]) == ["fresh"]
            assert after["routes"]["fresh"]["targets"] == [{"target": "p1/m1", "weight": 1}]
            gateway.paths.config_file.write_text(
                config + '[providers.p1.headers]\nx-api = "sk-live-0123456789abcdef"\n'
            )

            async def is_told(action: str, count: int) -> bool:
                return [one[0] for one in await told(tmp_path)].count(action) == count

            await eventually(lambda: is_told("config.change", 2))
            assert (await told(tmp_path))[-1][2:] == ("gateway", "configuration file")
            gateway.paths.config_file.write_text("[routes\n")
            await eventually(lambda: is_told("config.refuse", 1))
            gateway.paths.config_file.unlink()
            await eventually(lambda: is_told("config.refuse", 2))
            assert (await gateway.ask()).status_code == 200
            exported = (await gateway.shareai("audit", "export")).out
            assert "sk-live" not in exported
            assert all(key not in exported for key in KEYS.values())
            problems = [json.loads(line) for line in exported.splitlines()][-2:]
            assert "is gone" in json.loads(problems[1]["after"])["problem"]
            assert (await gateway.shareai("audit", "verify")).code == 0


async def test_what_was_changed_while_no_gateway_ran_is_told_at_the_next_start(tmp_path: Path) -> None:
    """By a command as by hand; a file that was only touched is not, neither then nor while one runs."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        await gateway.stop()
        await shareai_here(tmp_path, "limit", "set", "organization", "requests_per_minute=77", environ=KEYS)
        for _ in range(2):
            async with await RunningGateway.start(tmp_path, environ=KEYS) as gateway:
                gateway.paths.config_file.write_text(gateway.paths.config_file.read_text() + "# Touched.\n")
                async with admin_of(gateway) as admin:
                    assert (await admin.post("/reload", content=b"{}")).json() == {"problem": None}
                rows = (await gateway.shareai("audit", "list", "--json")).json["rows"]
                changes = [one for one in rows if one["action"] == "config.change"]
                assert [one["actor"] for one in changes] == ["gateway"]
                assert json.loads(changes[0]["after"]) == {
                    "limits": {"organization": {"requests_per_minute": 77}}
                }


@pytest.mark.parametrize("running", [True, False])
async def test_an_export_is_verified_elsewhere(tmp_path: Path, running: bool) -> None:
    """With hashes that anybody can compute; the file is private, and one that exists stays as it is."""
    async with FaultUpstream() as upstream:
        gateway = await RunningGateway.start(tmp_path, one_route(upstream.base_url), environ=KEYS)
        if not running:
            await gateway.stop()
        for name in ("one", "two words", "three-ü\u2009-\u200b"):
            await shareai_here(tmp_path, "key", "create", name)
        file = tmp_path / "audit.jsonl"
        outcome = await shareai_here(tmp_path, "audit", "export", str(file), "--json")
        lines = file.read_text()
        rows = [json.loads(line) for line in lines.splitlines()]
        assert outcome.json == {"schema": 1, "file": str(file), "rows": len(rows), "head": rows[-1]["hash"]}
        assert file.stat().st_mode & 0o777 == 0o600
        assert [one["hash"] for one in rows] == [hash_of(one) for one in rows]
        assert [one["previous"] for one in rows] == ["0" * 64, *(one["hash"] for one in rows[:-1])]
        assert (await shareai_here(tmp_path, "audit", "verify", "--json")).json["head"] == rows[-1]["hash"]
        assert (await shareai_here(tmp_path, "audit", "export")).out == lines
        verified = await shareai_here(tmp_path / "elsewhere", "audit", "verify", str(file), "--json")
        assert verified.json == {"schema": 1, "whole": True, "rows": len(rows), "head": rows[-1]["hash"],
                                 "faults": []}  # fmt: skip
        assert not (tmp_path / "elsewhere").exists()
        again = await shareai_here(tmp_path, "audit", "export", str(file))
        assert (again.code, "left as it is" in again.err, file.read_text()) == (2, True, lines)
        await gateway.stop()


@pytest.mark.parametrize("running", [True, False])
async def test_tampering_is_named_and_ends_with_1(tmp_path: Path, running: bool) -> None:
    """Through the gateway as without one."""
    async with FaultUpstream() as upstream:
        gateway = await RunningGateway.start(tmp_path, one_route(upstream.base_url), environ=KEYS)
        if not running:
            await gateway.stop()
        for name in ("one", "two", "three", "four"):
            await shareai_here(tmp_path, "key", "create", name)
        with closing(sqlite3.connect(gateway.paths.database)) as connection, connection:
            for change in ("update", "delete"):
                connection.execute(f"DROP TRIGGER audit_no_{change}")
            connection.execute("UPDATE audit SET actor = x'ff' WHERE id = 2")
            connection.execute("DELETE FROM audit WHERE id IN (3, 4)")
        verdict = await shareai_here(tmp_path, "audit", "verify")
        assert verdict.code == 1
        assert [line.partition(":")[0] for line in verdict.out.splitlines()] == ["Row 2", "Rows 3 to 4"]
        found = await shareai_here(tmp_path, "audit", "verify", "--json")
        assert (found.code, found.json["whole"]) == (1, False)
        assert [(one["first"], one["last"]) for one in found.json["faults"]] == [(2, 2), (3, 4)]
        file = tmp_path / "audit.jsonl"
        await shareai_here(tmp_path, "audit", "export", str(file))
        exported = await shareai_here(tmp_path, "audit", "verify", str(file))
        assert (exported.code, exported.out) == (1, verdict.out)
        assert (await shareai_here(tmp_path, "audit", "list")).code == 0
        await gateway.stop()


async def test_an_export_has_every_row(tmp_path: Path) -> None:
    """However many there are; they are asked for in portions."""
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    paths.make_state()
    store = Store(paths.database)
    for number in range(2 * PAGE + 1):
        store.record(GATEWAY, "x", str(number))
    store.close()
    lines = (await shareai_here(tmp_path, "audit", "export")).out.splitlines()
    assert [json.loads(line)["subject"] for line in lines] == [str(number) for number in range(2 * PAGE + 1)]


async def test_who_asks_the_admin_api_cannot_write_what_no_name_is(tmp_path: Path) -> None:
    """A header that steers terminals, or none at all, makes an unknown one; a name is bounded."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            headers = {"Authorization": f"Bearer {found.token}"}
            url = f"{found.address}/admin/v1"
            async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
                for number, actor in enumerate(("%1B[31m", "", "x" * 5000, "ann")):
                    made = await client.post(
                        f"{url}/keys", json={"name": f"k{number}"}, headers={"X-ShareAI-Actor": actor}
                    )
                    assert made.status_code == 200
                for query in ("limit=-1", "limit=x", "since_ms=-1", "after=-1"):
                    assert (await client.get(f"{url}/audit?{query}")).status_code == 400
            actors = [actor for _, _, actor, _ in (await told(tmp_path))[1:]]
            assert actors == ["unknown", "unknown", "x" * 300, "ann"]


async def test_a_list_says_which(tmp_path: Path) -> None:
    """What of a key was changed, why and how often it was refused, which limit is used up."""
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    paths.make_state()
    store = Store(paths.database)
    store.create_key("ci", b"c" * 32)
    store.change_key("ci", KeyChanges(limits={"requests_per_day": 5}, prefer="own"))
    store.record(GATEWAY, "key.refuse", "ci", after={"reason": "rate_limit_exceeded", "number": 3})
    store.record(GATEWAY, "key.refuse", "ci", after={"reason": "expired", "number": 1})
    store.record(GATEWAY, "limit.warn", "team/dev", after={"limit": "soft_budget_per_day"})
    store.record(GATEWAY, "config.change", "config.toml", before={"routes": {}}, after={"limits": {}})
    store.record(GATEWAY, "config.change", "config.toml", before=[1], after="\x1b[31m")
    store.close()
    listed = (await shareai_here(tmp_path, "audit", "list")).out
    rows = [[*re.split(" {2,}", line.strip()), ""] for line in listed.splitlines()]
    assert [row[6] for row in rows[2:]] == [
        "prefer, limits",
        "rate_limit_exceeded, 3 times",
        "expired",
        "soft_budget_per_day",
        "routes, limits",
        "",
    ]
    assert "\x1b" not in listed


async def test_lists_say_what_there_is_not(tmp_path: Path) -> None:
    """And what a command line has wrong."""
    nothing = await shareai_here(tmp_path, "audit", "list")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "No changes yet.\n")
    assert "whole: 0 rows" in (await shareai_here(tmp_path, "audit", "verify")).out
    assert (await shareai_here(tmp_path, "audit", "export")).out == ""
    for arguments in (("list", "--since", "x"), ("list", "--limit", "0"), ("export", "--json")):
        assert (await shareai_here(tmp_path, "audit", *arguments)).code == 2, arguments
    nowhere = await shareai_here(tmp_path, "audit", "export", str(tmp_path / "none" / "x.jsonl"))
    assert (nowhere.code, "cannot be written" in nowhere.err) == (1, True)

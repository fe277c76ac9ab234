"""`shareai route disable` and its like, `shareai node pause` and its like, with and without a gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shareai_cli.client import find_gateway
from shareai_cli.ledger.overrides import read_overrides
from shareai_cli.paths import Paths
from tests.support.commands import shareai
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream


@pytest.fixture
def route(paths: Paths) -> None:
    paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(
        '[providers.openai]\n[providers.groq]\n[routes.chat]\ntargets = ["openai/a", "groq/b"]\n'
    )


@pytest.mark.usefixtures("route")
def test_without_a_gateway_orders_are_kept_for_the_next_one(paths: Paths) -> None:
    """And route explain goes by them; the configuration file stays as it is."""
    before = paths.config_file.read_text()
    done = shareai("route", "disable", "chat", "openai/a", "--yes")
    assert (done.code, done.out) == (0, "openai/a is disabled on the route chat, with its declared weight.\n")
    assert shareai("route", "reweight", "chat", "groq/b", "7", "--json").json["override"]["weight"] == 7
    explained = shareai("route", "explain", "chat", "--json").json["targets"]
    assert [(one["target"], one["place"], one["weight"]) for one in explained] == [
        ("groq/b", 1, 7),
        ("openai/a", None, 1),
    ]
    assert explained[1]["reason"].startswith("is disabled: by ")
    assert (
        shareai("route", "drain", "chat", "openai/a", "-y", "--json").json["override"]["state"] == "draining"
    )
    assert shareai("route", "enable", "chat", "openai/a").out.startswith("openai/a is serving")
    assert "its declared weight" in shareai("route", "reweight", "chat", "groq/b", "declared").out
    assert shareai("node", "pause", "--yes").out == "node is paused.\n"
    assert shareai("node", "drain", "--yes", "--json").json["override"]["state"] == "draining"
    assert read_overrides(paths.database).nodes[0].state == "draining"
    assert shareai("node", "list").err.startswith("node is draining by ")
    assert shareai("node", "list", "--json").json["overrides"][0]["state"] == "draining"
    assert shareai("node", "resume").out == "node is serving.\n"
    assert paths.config_file.read_text() == before
    actions = [one["action"] for one in shareai("audit", "list", "--json").json["rows"]]
    assert actions == [
        "route.disable", "route.reweight", "route.drain", "route.enable", "route.reweight",
        "node.pause", "node.drain", "node.resume",
    ]  # fmt: skip


@pytest.mark.usefixtures("route")
def test_an_order_outlives_its_target_and_can_be_taken_back(paths: Paths) -> None:
    """A target that left the configuration is still disabled should it return, until it is enabled."""
    assert shareai("route", "disable", "chat", "openai/a", "--yes").code == 0
    paths.config_file.write_text('[providers.groq]\n[routes.chat]\ntargets = ["groq/b"]\n')
    assert [one["target"] for one in shareai("route", "explain", "chat", "--json").json["targets"]] == [
        "groq/b"
    ]
    assert shareai("route", "enable", "chat", "openai/a").code == 0
    assert read_overrides(paths.database).targets == ()
    assert shareai("route", "enable", "chat", "openai/a").code == 2


@pytest.mark.usefixtures("route")
def test_accounts_that_cannot_be_read_keep_nobody_from_an_explanation(paths: Paths) -> None:
    """It says what it does not know."""
    paths.database.parent.mkdir(parents=True, exist_ok=True)
    paths.database.write_bytes(b"no database at all " * 100)
    explained = shareai("route", "explain", "chat")
    assert explained.code == 0
    assert "by hand is not known" in explained.err


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("route", "disable", "chta", "openai/a"), "Did you mean chat?"),
        (("route", "disable", "chat", "openai/b"), "no target of the route chat"),
        (("route", "disable", "chta", "openai/a", "--yes"), "Did you mean chat?"),
        (("route", "enable", "chat", "openai"), "Did you mean openai/a?"),
        (("route", "disable", "chat", "openai/a"), "--yes confirms it."),
        (("route", "drain", "chat", "openai/a", "--no-input"), "--yes confirms it."),
        (("route", "reweight", "chat", "openai/a", "0"), "A weight is a whole number from 1 to 1000000"),
        (("route", "reweight", "chat", "openai/a", "x" * 40), "or 'declared'"),
        (("node", "pause"), "--yes confirms it."),
        (("node", "drain", "box", "--yes"), "no node 'box'"),
    ],
)
def test_mistakes_are_told_and_change_nothing(words: tuple[str, ...], told: str, paths: Paths) -> None:
    """What there is not, what wants to be confirmed, and numbers that are none."""
    outcome = shareai(*words)
    assert outcome.code == 2
    assert told in outcome.err
    assert read_overrides(paths.database).targets == ()


async def test_a_running_gateway_goes_by_orders_at_once_and_after_a_restart(tmp_path: Path) -> None:
    """Status and route explain show them; whoever ordered them is in the audit; a removed order is over."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        async with gateway:
            assert (await gateway.ask()).headers["x-shareai-target"] == "p1/m1"
            done = await gateway.shareai("route", "disable", "chat", "p1/m1", "--yes")
            assert done.code == 0, done.err
            assert (await gateway.ask()).headers["x-shareai-target"] == "p2/m1"
            status = await gateway.shareai("status")
            line = next(one for one in status.out.splitlines() if one.startswith("p1/m1"))
            assert line.split()[1:4] == ["chat", "disabled", "-"]
            assert "all serve" not in status.out
            explained = (await gateway.shareai("route", "explain", "chat", "--json")).json["targets"]
            assert explained[-1]["reason"].startswith("is disabled: by ")
            listed = (await gateway.shareai("models", "--json")).json["models"]
            chat = next(one for one in listed if one["id"] == "chat")
            assert chat["reason"] == "p1/m1 is disabled"
            wrong = await gateway.shareai("route", "disable", "chat", "p1/m", "--yes")
            assert (wrong.code, "Did you mean p1/m1?" in wrong.err) == (2, True)
        async with await RunningGateway.start(tmp_path, environ=KEYS) as again:
            assert "No requests go, by hand, to p1/m1 on the route chat" in again.stderr()
            assert (await again.ask()).headers["x-shareai-target"] == "p2/m1"
            assert (await again.shareai("route", "enable", "chat", "p1/m1")).code == 0
            assert (await again.ask()).headers["x-shareai-target"] == "p1/m1"
            rows = (await again.shareai("audit", "list", "--json")).json["rows"]
            orders = [one for one in rows if one["action"].startswith("route.")]
            assert [(one["action"], one["origin"], one["subject"]) for one in orders] == [
                ("route.disable", "admin API", "chat p1/m1"),
                ("route.enable", "admin API", "chat p1/m1"),
            ]
            assert json.loads(orders[0]["before"])["state"] == "serving"


async def test_the_admin_api_takes_no_order_of_what_cannot_be(tmp_path: Path) -> None:
    """Weights and states that are none, other fields, other routes, targets and machines; nothing is kept."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            known = {"route": "chat", "target": "p1/m1"}
            gateway.client.headers["Authorization"] = f"Bearer {found.token}"
            for page, body, told in (
                ("targets", {**known, "weight": 0}, "$.weight"),
                ("targets", {**known, "weight": 1 << 70}, "$.weight"),
                ("targets", {**known, "state": "paused"}, "$.state"),
                ("targets", {**known, "wieght": 3}, "wieght"),
                ("targets", {"route": "chat"}, "target"),
                ("targets", {**known, "target": "p1/" + "m" * 5000}, "a text of 5003 characters"),
                ("nodes", {"node": "node", "state": "disabled"}, "$.state"),
                ("nodes", {"node": "\x1b[2J", "state": "paused"}, "no node"),
            ):
                answer = await gateway.client.patch(f"/admin/v1/overrides/{page}", json=body)
                assert answer.status_code == 400
                assert told in answer.json()["error"]["message"]
            assert (await gateway.client.get("/admin/v1/overrides")).json() == {"targets": [], "nodes": []}


async def test_a_broken_file_keeps_nobody_from_disabling(tmp_path: Path) -> None:
    """A running gateway goes by the last good one, and by the order."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            (tmp_path / "config.toml").write_text("[routes.chat\n")
            done = await gateway.shareai("route", "disable", "chat", "p1/m1", "--yes")
            assert done.code == 0, done.err
            assert (await gateway.ask()).headers["x-shareai-target"] == "p2/m1"

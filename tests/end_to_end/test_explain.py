"""`shareai explain` tells of one request, whether the gateway runs, has ended, or was killed."""

from __future__ import annotations

from pathlib import Path

from tests.support.behaviours import chat, status, stream
from tests.support.commands import Outcome, shareai
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, eventually, one_route, shareai_here
from tests.support.upstream import FaultUpstream


async def test_every_attempt_is_told_with_its_reason(tmp_path: Path) -> None:
    """The same from the running gateway and from the accounts that it left."""
    async with FaultUpstream([status(429)]) as busy, FaultUpstream([chat(usage=(9, 12))]) as well:
        config = one_route(busy.base_url, well.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            request = (await gateway.ask()).headers["x-request-id"]
            running = (await gateway.shareai("explain", request, "--json")).json["request"]
            words = (await gateway.shareai("explain", request)).out
    assert (await shareai_here(tmp_path, "explain", request, "--json")).json["request"] == running
    assert (await shareai_here(tmp_path, "explain", "last")).out == words
    assert (running["id"], running["key"], running["route"]) == (request, "default", "chat")
    assert (running["outcome"], running["status"], running["target"]) == ("ok", 200, "p2/m1")
    assert [(one["target"], one["status"], one["reason"]) for one in running["attempts"]] == [
        ("p1/m1", 429, "HTTP 429: its limit is reached"),
        ("p2/m1", 200, "answered"),
    ]
    assert all(one["duration_us"] > 0 for one in running["attempts"])
    assert running["tokens"] == {
        "prompt": 9, "cached": 0, "cache_write": 0, "completion": 12, "reasoning": 0, "estimated": False,
    }  # fmt: skip
    assert (running["cost_nano_usd"], running["cost_basis"]) == (None, "unknown")
    for part in ("200: a complete answer, from p2/m1", "HTTP 429: its limit is reached", "9 prompt, 12 comp"):
        assert part in words
    assert not any(key in words for key in KEYS.values())


async def test_what_failed_says_so_and_where_to_look(tmp_path: Path) -> None:
    """Nothing was billed, and how targets stand is another command's to say."""
    async with FaultUpstream([status(500)]) as broken:
        gateway = await RunningGateway.start(tmp_path, one_route(broken.base_url), environ=KEYS)
        request = (await gateway.ask()).headers["x-request-id"]
        outcome = await gateway.shareai("explain", request)
        await gateway.stop()
    assert "503: no target could answer (no_target_available)" in outcome.out
    assert "HTTP 500: it failed" in outcome.out
    assert "none: nothing was billed" in outcome.out
    assert "shareai status" in outcome.err


async def test_a_request_under_way_is_told_of_and_a_killed_one_too(tmp_path: Path) -> None:
    """While it streams it has no end yet; when its gateway was killed, that is what is said of it."""
    async with FaultUpstream([stream("one ", "two").stall(after=3)]) as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        async with gateway.client.stream("POST", CHAT, json={**QUESTION, "stream": True}) as reply:
            request = reply.headers["x-request-id"]
            told: list[Outcome] = []

            async def is_told() -> bool:
                told.append(await gateway.shareai("explain", request))
                return told[-1].code == 0

            await eventually(is_told)
            assert "under way for " in told[-1].out
            assert (await gateway.shareai("explain", "last", "--json")).json["request"]["under_way"] is True
            gateway.kill()
            await gateway.process.wait()
        await gateway.client.aclose()
    words = (await shareai_here(tmp_path, "explain", request)).out
    assert "the gateway was ended before it" in words
    assert "(estimated)" in words


def test_what_is_no_request_is_refused_in_words() -> None:
    """No id, an id of nobody's, and accounts without any request."""
    for request, message in (
        ("last", "There are no requests in the accounts yet."),
        ("req_12", "That is no request's id."),
        ("../status", "That is no request's id."),
        ("req_0000000000000001", "There is no request req_0000000000000001 in the accounts."),
    ):
        outcome = shareai("explain", request)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"shareai: {message}\n")

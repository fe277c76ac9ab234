"""A command that changes the configuration says at once whether the gateway that runs has taken it up."""

from __future__ import annotations

from pathlib import Path

from tests.support.served import KEYS, RunningGateway, one_route, shareai_here
from tests.support.upstream import FaultUpstream


async def test_a_change_is_in_force_when_the_command_ends(tmp_path: Path) -> None:
    """The next request already meets it, without a wait."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            made = await shareai_here(tmp_path, "route", "add", "fresh", "p1/m1", environ=KEYS)
            assert (made.code, "keeps to" in made.err) == (0, False)
            assert (await gateway.ask(model="fresh")).status_code == 200


async def test_a_variable_that_only_the_command_knows_is_told(tmp_path: Path) -> None:
    """The gateway was started without it, stays as it was, and what to do is said; the file is written."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            added = await shareai_here(
                tmp_path, "provider", "add", "late", "--base-url", upstream.base_url, "--key-env", "LATE_KEY",
                environ={**KEYS, "LATE_KEY": "sk-test-late-key"},
            )  # fmt: skip
            assert added.code == 0
            assert "keeps to the configuration of before" in added.err
            assert "LATE_KEY is not set" in added.err
            assert "start 'shareai serve' again" in " ".join(added.err.split())
            assert (await gateway.ask()).status_code == 200
            assert "late" in (tmp_path / "config.toml").read_text()

"""A provider's key is exchanged while the gateway serves, and no request notices."""

from __future__ import annotations

from pathlib import Path

from tests.support.behaviours import Received
from tests.support.served import RunningGateway, shareai_here
from tests.support.upstream import FaultUpstream

OLD, NEW = "sk-test-the-key-of-last-year", "sk-test-the-key-of-this-year"


async def test_the_next_request_goes_with_the_new_key(tmp_path: Path) -> None:
    """Added, rotated and removed by commands beside a gateway that started with nothing."""

    def asked_with(requests: list[Received]) -> list[str]:
        return [one.headers["authorization"].removeprefix("Bearer ") for one in requests]

    async with FaultUpstream() as upstream, await RunningGateway.start(tmp_path, "") as gateway:
        options = ("--base-url", upstream.base_url, "--stdin")
        added = await shareai_here(tmp_path, "provider", "add", "alpha", *options, stdin=OLD.encode())
        assert added.code == 0, added.err
        assert "alpha accepts the key: 2 models" in added.out
        assert (await gateway.ask(model="alpha/m1")).status_code == 200
        rotated = await shareai_here(
            tmp_path, "provider", "key", "rotate", "alpha", "--stdin", stdin=NEW.encode()
        )
        assert rotated.code == 0, rotated.err
        assert (await gateway.ask(model="alpha/m1")).status_code == 200
        assert asked_with(upstream.completions) == [OLD, NEW]
        (kept,) = (tmp_path / "secrets").iterdir()
        assert kept.read_text() == f"{NEW}\n"
        removed = await shareai_here(tmp_path, "provider", "remove", "alpha", "--yes")
        assert removed.code == 0, removed.err
        assert (await gateway.ask(model="alpha/m1")).status_code == 404
        assert list((tmp_path / "secrets").iterdir()) == []
        said = gateway.stderr() + added.out + added.err + rotated.out + rotated.err
    assert OLD not in said
    assert NEW not in said

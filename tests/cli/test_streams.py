"""Standard streams that are closed, or lead where nothing can be written, do not harm what is asked for."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shareai_cli.client import HttpAdmin, find_gateway
from shareai_cli.paths import Paths
from tests.support.served import PROGRAM, eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="redirects as a POSIX shell does")


def redirected(redirect: str, *arguments: str) -> tuple[str, ...]:
    """Return a command line that runs `shareai` with a shell's redirection."""
    return ("sh", "-c", f'exec "$@" {redirect}', "sh", *PROGRAM, *arguments)


@pytest.mark.parametrize("redirect", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_does_not_need_a_stream_that_is_closed(redirect: str) -> None:
    """It succeeds, and its output is complete where that is open."""
    done = subprocess.run(
        redirected(redirect, "key", "list", "--json"), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    if ">&-" not in redirect.replace("2>&-", ""):
        assert json.loads(done.stdout) == {"schema": 1, "keys": []}


@asynccontextmanager
async def serving(paths: Paths, redirect: str) -> AsyncIterator[HttpAdmin]:
    """Run `shareai serve` with a redirection, which may not end it."""
    process = await asyncio.create_subprocess_exec(
        *redirected(redirect, "serve", "--port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def has_an_address() -> bool:
        assert process.returncode is None
        return find_gateway(paths) is not None

    try:
        await eventually(has_an_address)
        address = find_gateway(paths)
        assert address is not None
        gateway = HttpAdmin(address)
        try:
            yield gateway
        finally:
            gateway.close()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("redirect", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full 2>&1"])
async def test_a_gateway_serves_whatever_its_streams_are(paths: Paths, redirect: str) -> None:
    """It answers, and takes up changes of the configuration though it cannot tell of them."""
    if "full" in redirect and not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    async with serving(paths, redirect) as gateway:

        async def knows_the_provider() -> bool:
            return (await asyncio.to_thread(gateway.status)).providers == ("alpha",)

        async def knows_the_mistake() -> bool:
            return (await asyncio.to_thread(gateway.status)).config_problem is not None

        paths.config_file.write_text("[sever]\n")
        await eventually(knows_the_mistake)
        paths.config_file.write_text('[providers.alpha]\nbase_url = "https://alpha.example/v1"\n')
        await eventually(knows_the_provider)

"""A gateway as a person starts it: `shareai serve` in its own process, with its own state folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from shareai_cli.client import trusted_for
from shareai_cli.paths import Paths, find_paths
from tests.support.commands import Outcome, shareai_at

PROGRAM = (sys.executable, "-c", "from shareai_cli.cli import main; main()")
START_SECONDS = 30.0
CHAT = "/v1/chat/completions"
QUESTION: Mapping[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "Hello!"}]}


class StartError(Exception):
    """`shareai serve` ended before it was ready."""

    def __init__(self, code: int, err: str) -> None:
        super().__init__(f"exit code {code}: {err}")
        self.code = code
        self.err = err


class RunningGateway:
    """One gateway, its files, and a client with its key."""

    def __init__(
        self, process: asyncio.subprocess.Process, home: Path, told: Mapping[str, Any], log: Path
    ) -> None:
        self.process = process
        self.home = home
        self.paths: Paths = find_paths({"SHAREAI_HOME": str(home)})
        self.told = told
        self.base_url = str(told["base_url"])
        self.origin = self.base_url.removesuffix("/v1")
        self.log = log
        self.key = self.paths.first_key_file.read_text().strip()
        self.client = httpx.AsyncClient(
            base_url=self.origin,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=30,
            verify=trusted_for(self.origin),
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        )

    @classmethod
    async def start(
        cls,
        home: Path,
        config: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> RunningGateway:
        """Write the configuration, start the gateway and wait until it is ready; raises `StartError`."""
        home.mkdir(parents=True, exist_ok=True)
        if config is not None:
            (home / "config.toml").write_text(config)
        log = home / "stderr.log"
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *PROGRAM, "serve", "--port", "0", "--json", *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                env={**os.environ, **(environ or {}), "SHAREAI_HOME": str(home)},
            )  # fmt: skip
        assert process.stdout is not None
        lines: list[bytes] = []
        try:
            async with asyncio.timeout(START_SECONDS):
                while not lines or lines[-1] != b"}\n":
                    line = await process.stdout.readline()
                    if not line:
                        raise StartError(await process.wait(), log.read_text())
                    lines.append(line)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return cls(process, home, json.loads(b"".join(lines)), log)

    async def ask(self, **fields: Any) -> httpx.Response:
        """Send a chat completion."""
        return await self.client.post(CHAT, json={**QUESTION, **fields})

    async def shareai(self, *arguments: str, stdin: bytes = b"") -> Outcome:
        """Run another command on the same state, in this process."""
        return await shareai_here(self.home, *arguments, stdin=stdin)

    def stderr(self) -> str:
        """Return what the gateway wrote on standard error."""
        return self.log.read_text()

    def kill(self) -> None:
        """End the gateway as a crash does."""
        self.process.kill()

    async def stop(self, seconds: float = 20.0) -> int:
        """End the gateway as Ctrl-C does, and return its exit code."""
        await self.client.aclose()
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(seconds):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise

    async def __aenter__(self) -> RunningGateway:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database, which may be in use, something."""
        return query_database(self.paths, query)


def query_database(paths: Paths, query: str) -> list[tuple[Any, ...]]:
    """Ask a database something, without writing to it."""
    with contextlib.closing(sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


async def shareai_here(
    home: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> Outcome:
    """Run one command line in this process, as starting one takes most of the time, in a thread."""
    return await asyncio.to_thread(shareai_at, home, *arguments, stdin=stdin, environ=environ)


async def run_shareai(
    home: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> Outcome:
    """Run one command line in a process of its own, without holding up this loop."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environ or {}), "SHAREAI_HOME": str(home)},
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate(stdin)
    return Outcome(process.returncode or 0, out.decode(), err.decode())


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 20.0) -> None:
    """Ask until the answer is true; TimeoutError when it is not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - it becomes true in another process
            await asyncio.sleep(0.1)


def one_route(*base_urls: str, options: str = "") -> str:
    """Return a configuration: the route `chat` over providers p1, p2... in this order, model m1."""
    names = [f"p{number}" for number, _ in enumerate(base_urls, 1)]
    providers = [
        f'[providers.{name}]\nbase_url = "{url}"\nkeys = ["env:{name.upper()}_KEY"]\n{options}\n'
        for name, url in zip(names, base_urls, strict=True)
    ]
    targets = ", ".join(f'"{name}/m1"' for name in names)
    return "\n".join([*providers, f"[routes.chat]\ntargets = [{targets}]\n"])


KEYS: Mapping[str, str] = {
    f"P{number}_KEY": f"sk-test-provider-key-number-{number}" for number in range(1, 6)
}
"""The variables that `one_route` names."""

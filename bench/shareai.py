"""ShareAI as a candidate: started as a user starts it, with a state folder of its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.processes import GATEWAY_CORE, BenchError, Processes, free_port, wait_for

UPSTREAM_KEY = "sk-bench-upstream-0123456789abcdef0123456789abcdef"
READY = "/healthz"


@dataclasses.dataclass(frozen=True)
class Gateway:
    """A running gateway and one client key of it."""

    process: subprocess.Popen[str]
    port: int
    key: str
    home: Path
    environment: Mapping[str, str]
    ready_seconds: float

    @property
    def database(self) -> Path:
        """The file of the accounts."""
        return self.home / "state" / "shareai.db"

    def stored_bytes(self) -> int:
        """Return the bytes of the database with what SQLite has not yet moved into it."""
        files = [self.database, self.database.with_name(self.database.name + "-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def journal_bytes(self) -> int:
        """Return the bytes of the journal's files."""
        return sum(file.stat().st_size for file in (self.home / "state" / "journal").glob("*"))


def command() -> Path:
    """Return the `shareai` of the environment that runs the bench."""
    path = Path(sys.executable).with_name("shareai")
    if not path.exists():
        raise BenchError(f"{path} does not exist: install the project in this environment first")
    return path


def provider(name: str, base_url: str) -> str:
    """Return the configuration of a provider with one key and known prices."""
    return (
        f'[providers.{name}]\nbase_url = "{base_url}"\nkeys = ["env:BENCH_KEY"]\n'
        'price_as = "openai"\nmodels = ["gpt-4o-mini"]\n'
    )


def route(name: str, *providers: str) -> str:
    """Return the configuration of a route that asks the providers in their order."""
    targets = ", ".join(f'"{provider}/gpt-4o-mini"' for provider in providers)
    return f"[routes.{name}]\ntargets = [{targets}]\n"


def one_route(base_url: str) -> str:
    """Return the usual configuration: the model `bench`, one provider behind it."""
    return provider("up", base_url) + route("bench", "up")


def start_gateway(
    running: Processes,
    home: Path,
    configuration: str | None,
    *,
    trusted: Path | None = None,
    pause: float = 0.02,
) -> Gateway:
    """Make a state folder and a client key, and start `shareai serve`; its request lines go to a file.

    `configuration` None configures nothing, so that the demo model is served.
    """
    home.mkdir(parents=True, mode=0o700, exist_ok=True)
    environment = {"SHAREAI_HOME": str(home), "BENCH_KEY": UPSTREAM_KEY, "NO_COLOR": "1"}
    if trusted is not None:
        environment["SSL_CERT_FILE"] = str(trusted)
    made = running.call(
        [command(), "key", "create", "bench", "--json"], core=GATEWAY_CORE, seconds=30, env=environment
    )
    port = free_port()
    log = home / "output.log"
    argv: list[str | Path] = [command(), "serve", "--host", "127.0.0.1", "--port", str(port)]
    if configuration is not None:
        file = home / "bench.toml"
        file.write_text(configuration)
        file.chmod(0o600)
        argv += ["--config", file]
    process = running.start(argv, core=GATEWAY_CORE, log=log, env=environment)
    ready = wait_for(process, port, READY, log, pause=pause)
    return Gateway(process, port, str(json.loads(made)["key"]), home, environment, ready)


def usage_total(running: Processes, gateway: Gateway) -> dict[str, Any]:
    """Return the totals of `shareai usage --json`, asked of the running gateway."""
    report = running.call(
        [command(), "usage", "--json"], core=GATEWAY_CORE, seconds=120, env=gateway.environment
    )
    total = json.loads(report)["total"]
    assert isinstance(total, dict)
    return total


def wait_until_idle(process: subprocess.Popen[str], *, seconds: float = 60) -> float:
    """Wait until a process has stopped computing and return how long that took, in seconds.

    Without it the writer that moves the journal of one candidate's round would slow the next candidate.
    """
    measured = psutil.Process(process.pid)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        if measured.cpu_percent(interval=0.2) < 5:
            return max(time.perf_counter() - began - 0.2, 0.0)
    raise BenchError(f"the gateway still computes {seconds:.0f} s after its load has ended")

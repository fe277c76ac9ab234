"""The gateway as a process: everything that it needs, opened in order, and closed in the reverse order.

lock → ledger → node agent → gateway → server → the address beside the lock → the configuration's watcher
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import msgspec
import psutil
from msgspec import Struct

from shareai_cli import __version__
from shareai_cli.catalog.facts import FactBook
from shareai_cli.catalog.offered import OfferedModels
from shareai_cli.catalog.prices import PriceBook, known_models
from shareai_cli.client import GatewayAddress, Status, Trouble, find_gateway
from shareai_cli.config import ServerSettings, Settings
from shareai_cli.config.describe import describe
from shareai_cli.config.watch import FILE, ConfigWatcher
from shareai_cli.errors import AlreadyRunning, LedgerUnavailable, ShareAIError, StateError
from shareai_cli.gateway.activity import Activity
from shareai_cli.gateway.admin import AdminApi
from shareai_cli.gateway.administration import Administration
from shareai_cli.gateway.app import Gateway
from shareai_cli.gateway.auth import LONGEST_KEY
from shareai_cli.gateway.browse import Browser
from shareai_cli.gateway.config_record import ConfigRecord
from shareai_cli.gateway.drills import DrillCommand, Schedule
from shareai_cli.gateway.feed import Feed
from shareai_cli.gateway.fleet import Fleet, local_models
from shareai_cli.gateway.minting import Minting
from shareai_cli.gateway.overrides import in_words
from shareai_cli.gateway.pools import pool_factory
from shareai_cli.gateway.reporting import Reporting
from shareai_cli.gateway.request_line import RequestLines
from shareai_cli.gateway.roster import Roster
from shareai_cli.gateway.route_explainer import RouteExplainer
from shareai_cli.gateway.scene import GatewayScene
from shareai_cli.ledger import Closed, Ledger, Replies
from shareai_cli.ledger.drill_changes import Entry
from shareai_cli.ledger.drills import MOST as MOST_DRILLS
from shareai_cli.ledger.drills import list_drills
from shareai_cli.ledger.lock import StateLock
from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret, digest, write_private
from shareai_cli.types import Actor, LocalModel
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.server import Server, ServerLimits
from shareai_cli.wire.turn import Turn

FIRST_KEY = "default"
"""The name of the key that is made at the first start."""

LOCK_SECONDS = 5.0
"""How long to wait for a command that holds the lock for a moment."""

SETTLED_SECONDS = 5.0
"""How long a report waits for what the journal still holds."""

Notice = Callable[[str], None]
"""Tells the person who watches the gateway run something, in one line."""


class Start(Struct, frozen=True):
    """What a gateway is started with. `load` reads the configuration anew."""

    paths: Paths
    config_file: Path
    load: Callable[[], Settings]
    environ: Mapping[str, str]
    has_llama: bool
    shows_key: bool
    """Whether the key made at the first start can be shown to a person; else it goes into a file."""
    lines: TextIO
    """Where a line a request goes."""
    notice: Notice
    runs_drills: bool = True
    """Whether the drills of the configuration are run at their times."""


class Ready(Struct, frozen=True):
    """What became of a start."""

    settings: Settings
    base_url: str
    models: tuple[LocalModel, ...]
    first_key: Secret | None = None
    first_key_file: Path | None = None


class GatewayProcess:
    """One gateway from `start` to `close`."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._began = time.monotonic()
        self._closing = contextlib.AsyncExitStack()
        self._config_problem: str | None = None
        self._base_url = ""
        self._feed: Feed | None = None
        self._has_models = False

    def __repr__(self) -> str:
        return f"<GatewayProcess {self._base_url or 'not started'}>"

    async def start(self) -> Ready:
        """Open everything; where a part fails, close what was opened before. Raises `ShareAIError`."""
        try:
            return await self._open()
        except BaseException:
            await self._closing.aclose()
            raise

    async def close(self) -> None:
        """Take no more requests, let those under way end within the configured time, and close everything."""
        await self._closing.aclose()

    def abort(self) -> None:
        """Give requests that are under way no more time, while `close` is at work."""
        self.server.abort()

    async def _open(self) -> Ready:
        start, closing = self._start, self._closing
        self._watcher = watcher = ConfigWatcher(
            start.config_file, start.load, changed=self._replace, failed=self._config_refused
        )
        settings = await asyncio.to_thread(start.load)
        lock = await take_lock(start.paths)
        closing.callback(lock.release)
        ledger = await asyncio.to_thread(Ledger.open, start.paths, PriceBook)
        closing.push_async_callback(asyncio.to_thread, ledger.close)

        deadlines, turn = Deadlines(), Turn(before=ledger.flush)
        ledger.collect(turn.schedule)
        closing.callback(deadlines.close)
        models = local_models(settings, start.has_llama)
        self.fleet = fleet = Fleet(models, deadlines=deadlines, environ=start.environ, on_problem=self.notice)
        closing.push_async_callback(fleet.close)
        lines = RequestLines(start.lines)
        closing.push_async_callback(asyncio.to_thread, lines.close)
        activity = Activity(time.monotonic)

        def observe(entry: Closed) -> None:
            lines.add(entry)
            activity.add(entry)

        make_pool = pool_factory(deadlines, turn, time.monotonic)
        self.reporting = reporting = Reporting(ledger, make_pool, self.notice, start.environ)
        closing.push_async_callback(reporting.close)
        await reporting.prepare(settings)
        refused = reporting.refusals.of_request

        self._config_record = ConfigRecord(
            ledger.store.record, start.config_file, start.paths.in_force_file, self.notice
        )
        limits = await asyncio.to_thread(ledger.store.limits)
        overrides = await asyncio.to_thread(ledger.store.overrides)
        self.gateway = gateway = Gateway(
            settings,
            environ=start.environ,
            ledger=ledger,
            fleet=fleet,
            make_pool=make_pool,
            catalogue=known_models,
            learned=OfferedModels(start.paths.offered_file).learn,
            observe=observe,
            refused=refused,
            warned=reporting.notices.warned,
            notice=self.notice,
            facts=FactBook(),
            replies=Replies(start.paths.replies),
            limits={**settings.limits, **limits},
            overrides=overrides,
        )
        closing.push_async_callback(gateway.close)
        self._roster = Roster(
            ledger.store, gateway, lambda: gateway.current.settings.limits, limits, self.notice
        )
        self._feed = feed = Feed(activity, GatewayScene(gateway))
        closing.push_async_callback(feed.stop)
        token = Secret(secrets.token_urlsafe(32))
        gateway.admin = self._admin_api(token, ledger, feed).respond
        gateway.minting = Minting(gateway.keys, ledger.store, self._roster.accounts_changed, refused).respond

        server_settings = settings.server
        self.server = server = Server(
            gateway.respond,
            refuse=gateway.refuse,
            hostnames=server_settings.hostnames,
            limits=server_limits(server_settings),
            deadlines=deadlines,
            turn=turn,
            cutting=gateway.cutting,
        )
        await server.start(server_settings.host, server_settings.port)
        closing.push_async_callback(self._close_server)
        closing.callback(feed.close)
        self._base_url = f"{loopback_address(server_settings.host, server.port)}/v1"
        await self._config_record.begun(settings, FILE)
        self._leave_address(token)
        closing.callback(self._remove_address)

        await fleet.start()
        gateway.start()
        reporting.start()
        lines.start()
        feed.start()
        if told := in_words(overrides):
            self.notice(told)
        watcher.start()
        closing.push_async_callback(watcher.close)
        if start.runs_drills:
            schedule = self._schedule(ledger)
            schedule.start()
            closing.push_async_callback(schedule.close)
        # Last, as it is shown only once: a start that fails must not have made it.
        first_key, first_key_file = await asyncio.to_thread(self._first_key, ledger)
        await self._roster.accounts_changed()
        return Ready(settings, self._base_url, models, first_key, first_key_file)

    async def _close_server(self) -> None:
        await self.server.close(self.gateway.current.settings.server.drain)

    def _first_key(self, ledger: Ledger) -> tuple[Secret | None, Path | None]:
        """Make the first key where there never was one; return it, or the file into which it went."""
        paths = self._start.paths
        admin, file = Administration(ledger, Replies(paths.replies)), paths.first_key_file
        if admin.list_keys():
            return None, file if _holds_valid_key(file, ledger) else None
        made = Secret(admin.create_key(FIRST_KEY).key)
        if self._start.shows_key:
            return made, None
        try:
            write_private(file, made.reveal() + "\n")
        except OSError as error:
            admin.revoke_key(FIRST_KEY)
            raise StateError(f"{file} cannot be written: {error.strerror}.") from None
        return None, file

    def _schedule(self, ledger: Ledger) -> Schedule:
        start, gateway = self._start, self.gateway
        command = DrillCommand(start.config_file, start.environ, self.notice)

        async def latest(name: str) -> int | None:
            try:
                records = await asyncio.to_thread(list_drills, ledger.store, MOST_DRILLS)
            except LedgerUnavailable:
                return None
            return next((one.began_ms for one in records if one.cause == name), None)

        return Schedule(lambda: gateway.current.settings.drills, latest, command.run, time.time)

    def _drill_kept(self, drill: Entry) -> None:
        """Tell of a drill that found something else than before."""
        if not drill.is_news:
            return
        record = drill.record
        changes = f" Changed: {', '.join(drill.changes[:3])}." if drill.changes else ""
        self.notice(
            f"The drill '{record.cause}' {record.verdict}.{changes} "
            f"'shareai drill show {record.id}' tells more."
        )
        told = {"id": record.id, "drill": record.cause, "verdict": record.verdict, "changes": drill.changes}
        self.reporting.webhook.send("drill.changed", told)

    def _admin_api(self, token: Secret, ledger: Ledger, feed: Feed) -> AdminApi:
        gateway = self.gateway

        async def settled() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ledger.settled(), SETTLED_SECONDS)

        return AdminApi(
            token,
            Administration(
                ledger,
                Replies(self._start.paths.replies),
                declared=lambda: gateway.current.settings.limits,
            ),
            cache=gateway.cache,
            status=self.status,
            reload=self._reload,
            config=lambda: describe(gateway.current.settings),
            models=Browser(gateway.current, gateway.directory, self.fleet, FactBook()).list_models,
            explain_route=RouteExplainer(gateway.current).explain,
            settled=settled,
            changed=self._roster.accounts_changed,
            feed=feed,
            drills=gateway.drills,
            overridden=gateway,
            drill_kept=self._drill_kept,
            refused=self.reporting.refusals.of_admin,
        )

    async def status(self) -> Status:
        """Describe this gateway."""
        gateway = self.gateway
        settings = gateway.current.settings
        ledger = gateway.ledger.state()
        now = time.monotonic()
        return Status(
            version=__version__,
            pid=os.getpid(),
            base_url=self._base_url,
            uptime_seconds=now - self._began,
            connections=self.server.connections,
            refused_keys=gateway.keys.refused,
            config_file=str(self._start.config_file),
            config_problem=self._config_problem,
            providers=tuple(settings.providers),
            routes=tuple(settings.routes),
            local_models=await self.fleet.reports(),
            node_problem=self.fleet.problem,
            troubles=tuple(
                Trouble(target, key, standing.state, max(0.0, standing.until - now), standing.reason)
                for target, key, standing in gateway.health.troubles()
            ),
            ledger_problem=ledger.problem,
            ledger_waiting=ledger.waiting,
            limits=tuple(gateway.limit_use()),
            webhook_problem=self.reporting.webhook.problem,
            overrides=gateway.current.orders.overrides,
            **self._counters(),
        )

    def _counters(self) -> dict[str, int]:
        return {"requests": self.gateway.requests, "in_flight": self.gateway.in_flight}

    async def _replace(self, settings: Settings, by: Actor) -> None:
        """Take up a changed configuration."""
        former_settings = self.gateway.current.settings
        former = former_settings.server
        webhook = self.reporting.webhook
        receiver = await webhook.prepare(settings.webhook, self._start.environ)
        await self.gateway.replace(settings)
        await webhook.take_up(receiver)
        await self._roster.limits_changed()
        server = settings.server
        self.server.replace(hostnames=server.hostnames, limits=server_limits(server))
        models = local_models(settings, self._start.has_llama)
        if models != self.fleet.models:
            await self.fleet.update(models)
        self._config_problem = None
        restart = "" if (server.host, server.port) == (former.host, former.port) else (
            "; the new host and port need a restart"
        )  # fmt: skip
        self.notice(f"The configuration was taken up{restart}.")
        await self._config_record.changed(former_settings, settings, by)

    async def _reload(self, by: Actor) -> str | None:
        """Look at the configuration file now; returns why it is not in force.

        Whoever asks for that asks for models, too, that were set aside.
        """
        await self._watcher.look(by)
        await self.fleet.try_again()
        return self._config_problem

    async def _config_refused(self, error: ShareAIError, by: Actor) -> None:
        self._config_problem = str(error)
        self.notice(f"The configuration of before stays in force: {error}")
        await self._config_record.refused(error, by)

    def notice(self, text: str) -> None:
        """Tell the person who watches; a terminal or a log that takes nothing is no reason to stop."""
        if self._feed is not None:
            self._feed.note(text)
        with contextlib.suppress(OSError, ValueError):
            self._start.notice(text)

    def _leave_address(self, token: Secret) -> None:
        address = GatewayAddress(self._base_url.removesuffix("/v1"), token.reveal(), os.getpid())
        file = self._start.paths.endpoint_file
        try:
            write_private(file, msgspec.json.encode(address).decode())
        except OSError as error:
            raise StateError(f"{file} cannot be written: {error.strerror}.") from None

    def _remove_address(self) -> None:
        with contextlib.suppress(OSError):
            self._start.paths.endpoint_file.unlink()


def _holds_valid_key(file: Path, ledger: Ledger) -> bool:
    """Tell whether a file holds a client's key that is still valid."""
    try:
        return digest(file.read_bytes()[:LONGEST_KEY].strip()) in ledger.store.active_keys()
    except OSError:
        return False


async def take_lock(paths: Paths) -> StateLock:
    """Take the state folder's lock, waiting for a command that holds it for a moment; `AlreadyRunning`."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return StateLock.acquire(paths)
        except AlreadyRunning:
            running = find_gateway(paths)
            if running is not None and psutil.pid_exists(running.pid):
                raise AlreadyRunning(
                    f"A gateway runs already, at {running.address} (process {running.pid}).",
                    hint="'shareai status' tells of it. One that a chat has started ends with that chat; "
                    "SHAREAI_HOME gives another one its own state.",
                ) from None
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.05)


def server_limits(server: ServerSettings) -> ServerLimits:
    """Return the server's limits, as far as they are configured."""
    return ServerLimits(connections=server.connections, body_bytes=server.body_limit)


def loopback_address(host: str, port: int) -> str:
    """Return the URL under which this machine itself reaches a server that listens on `host`."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

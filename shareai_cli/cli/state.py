"""How a command reaches the accounts: in its own process where it gets the lock, else through the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from shareai_cli.cli.progress import Progress
from shareai_cli.errors import AlreadyRunning, GatewayUnreachable

if TYPE_CHECKING:
    from shareai_cli.client import Admin, HttpAdmin
    from shareai_cli.gateway.administration import DeclaredLimits
    from shareai_cli.paths import Paths

LOCK_SECONDS = 5.0
"""How long another command may hold the lock, or a gateway take to start or to end."""


@contextmanager
def open_admin(paths: Paths, declared: DeclaredLimits = dict) -> Iterator[Admin]:
    """Yield the admin interface of whoever owns the state folder; raises `StateError`.

    `declared` tells the limits of the configuration, where somebody asks for budgets.
    """
    from shareai_cli.ledger.lock import StateLock

    with ExitStack() as closing:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                closing.enter_context(StateLock.acquire(paths))
                break
            except AlreadyRunning as error:
                try:
                    gateway = reach_gateway(paths)
                except GatewayUnreachable as unreachable:
                    if time.monotonic() > until:
                        raise unreachable from None
                    gateway = None
                if gateway is not None:
                    closing.callback(gateway.close)
                    yield gateway
                    return
                if time.monotonic() > until:
                    raise error from None
            time.sleep(0.05)
        yield _own(paths, closing, declared)


def reach_gateway(paths: Paths) -> HttpAdmin | None:
    """Return the running gateway's admin interface, seen to answer; None where none left its address.

    Raises `GatewayUnreachable`.
    """
    from shareai_cli.client import HttpAdmin, find_gateway
    from shareai_cli.errors import AuthenticationFailed

    address = find_gateway(paths)
    if address is None:
        return None
    gateway = HttpAdmin(address)
    try:
        gateway.status()
    except (GatewayUnreachable, AuthenticationFailed) as error:
        gateway.close()
        # Another program may have taken the port of a gateway that was killed.
        raise GatewayUnreachable(error.message, hint=error.hint) from None
    return gateway


def find_running(paths: Paths) -> HttpAdmin | None:
    """Return the running gateway's admin interface; None where none runs, whatever a killed one left.

    Raises `GatewayUnreachable` where one holds the lock and does not answer.
    """
    from shareai_cli.ledger.lock import StateLock

    try:
        return reach_gateway(paths)
    except GatewayUnreachable as unreachable:
        if not paths.lock_file.exists():
            return None
        try:
            StateLock.acquire(paths).release()
        except AlreadyRunning:
            raise unreachable from None
        return None


def _own(paths: Paths, closing: ExitStack, declared: DeclaredLimits) -> Admin:
    from shareai_cli.catalog.prices import PriceBook
    from shareai_cli.client import system_user
    from shareai_cli.gateway.administration import Administration
    from shareai_cli.ledger import Ledger, Replies
    from shareai_cli.types import Actor

    with Progress("Taking in what the journal holds", unit="KiB") as progress:

        def taking_in(done: int, whole: int) -> None:
            progress.reach(done >> 10, total=whole >> 10)

        ledger = Ledger.open(paths, PriceBook, taking_in=taking_in)
    closing.callback(ledger.close)
    return Administration(ledger, Replies(paths.replies), Actor(system_user(), "command"), declared)

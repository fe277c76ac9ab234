"""This machine's gateway, for a command that asks it something: the one that runs, else one for that long."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from shareai_cli.cli.invocation import Invocation
from shareai_cli.cli.progress import Progress
from shareai_cli.cli.state import LOCK_SECONDS, reach_gateway
from shareai_cli.errors import AlreadyRunning, GatewayUnreachable

if TYPE_CHECKING:
    from shareai_cli.client import HttpAdmin


def reach_or_start(run: Invocation, closing: ExitStack, what: str) -> tuple[HttpAdmin, bool]:
    """Return the admin interface of the gateway that runs, and False; else of one that is started, and True.

    `what` says for what it is started. Both are closed with `closing`. Raises `ShareAIError`.
    """
    is_started = False
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            admin, unreachable = reach_gateway(run.paths), None
        except GatewayUnreachable as error:
            admin, unreachable = None, error
        if admin is not None:
            closing.callback(admin.close)
            return admin, is_started
        try:
            _start(run, closing, what)
            is_started = True
        except AlreadyRunning as error:  # it is just starting, or ending
            if time.monotonic() > until:
                raise unreachable or error from None
            time.sleep(0.05)


def _start(run: Invocation, closing: ExitStack, what: str) -> None:
    from shareai_cli.cli.chat.temporary import TemporaryGateway

    gateway = TemporaryGateway(run)
    closing.callback(gateway.close)
    with Progress(f"Starting a gateway for this {what}"):
        gateway.start()

"""Makes pools of connections, each over its provider's way out; TLS contexts are shared."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from shareai_cli.config import Authority, Egress
from shareai_cli.types import Clock
from shareai_cli.wire.client import Origin, Pool
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.proxy import Proxy
from shareai_cli.wire.trust import client_context
from shareai_cli.wire.turn import Turn

PoolFactory = Callable[[Origin, Egress], Pool]
"""Makes a pool of connections to an origin; `ConfigurationError` where its authorities cannot be used."""


def pool_factory(deadlines: Deadlines, turn: Turn | None, clock: Clock) -> PoolFactory:
    """Return what makes pools that share their deadlines, their turn and their TLS contexts."""
    contexts: dict[tuple[Authority, ...], ssl.SSLContext] = {}

    def trusting(scheme: str, egress: Egress) -> ssl.SSLContext | None:
        if scheme != "https":
            return None
        found = contexts.get(egress.authorities)
        if found is None:
            found = contexts[egress.authorities] = client_context(egress.authorities)
        return found

    def make(origin: Origin, egress: Egress) -> Pool:
        proxy: Proxy | None = None
        if (named := egress.proxy) is not None:
            proxy = Proxy(
                Origin(named.scheme, named.host, named.port),
                trusting(named.scheme, egress),
                named.credentials,
                named.named_by,
            )
        return Pool(
            origin,
            tls=trusting(origin.scheme, egress),
            proxy=proxy,
            clock=clock,
            deadlines=deadlines,
            turn=turn,
        )

    return make

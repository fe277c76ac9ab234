"""Which providers share connections, and which do not."""

from __future__ import annotations

import time

from msgspec.structs import replace

from shareai_cli.config import Egress, ProviderSettings, Proxy
from shareai_cli.gateway.endpoints import Endpoints
from shareai_cli.gateway.pools import pool_factory
from shareai_cli.secrets import Secret
from shareai_cli.wire.client import Pool
from shareai_cli.wire.deadlines import Deadlines

DIRECT = ProviderSettings(name="a", preset=None, base_url="http://cloud.example/v1")


def through(password: str) -> ProviderSettings:
    """Return the provider behind a proxy."""
    proxy = Proxy("http", "proxy.example", 3128, Secret(f"user:{password}"), "HTTPS_PROXY")
    return replace(DIRECT, egress=Egress(proxy))


def pools(former: Endpoints | None = None, **providers: ProviderSettings) -> tuple[Endpoints, list[Pool]]:
    """Return the endpoints of providers, and the pool of each."""
    named = {name: replace(one, name=name) for name, one in providers.items()}
    factory = pool_factory(Deadlines(), None, time.monotonic)
    endpoints = Endpoints.build(named, {}, factory, former)
    return endpoints, [one.pool for one in endpoints]


def test_providers_at_one_origin_share_connections_where_the_way_there_is_one() -> None:
    """With other credentials, or without the proxy, it is another way."""
    _, found = pools(a=DIRECT, b=DIRECT, c=through("x"), d=through("x"), e=through("y"))
    assert found[0] is found[1]
    assert found[2] is found[3]
    assert len(set(found)) == 3


def test_connections_stay_when_the_configuration_changes_and_the_way_does_not() -> None:
    """A new password of the proxy's makes new connections."""
    former, [kept] = pools(a=through("x"))
    former, [pool] = pools(former, a=replace(through("x"), models=("m",)))
    assert pool is kept
    _, [pool] = pools(former, a=through("y"))
    assert pool is not kept

"""What could be asked for if a gateway ran: configuration, files and providers looked at without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from shareai_cli.catalog.facts import FactBook
from shareai_cli.catalog.listing import UNKNOWN
from shareai_cli.config import ProviderSettings, Settings
from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.browse import Scene, describe
from shareai_cli.gateway.endpoints import Endpoint, Endpoints
from shareai_cli.gateway.models import Catalogue, Learned, ModelDirectory, Offer
from shareai_cli.gateway.pools import PoolFactory, pool_factory
from shareai_cli.types import LocalModel, ModelListing
from shareai_cli.wire.deadlines import Deadlines


async def browse_offline(
    settings: Settings,
    local: Sequence[LocalModel],
    environ: Mapping[str, str],
    catalogue: Catalogue,
    facts: FactBook,
    learned: Learned | None = None,
) -> ModelListing:
    """Ask every provider for its models, all at once and for some seconds at most, and describe everything.

    A provider whose keys cannot be had is not asked; its notice says why.
    """
    deadlines = Deadlines()
    make_pool = pool_factory(deadlines, None, time.monotonic)
    directory = ModelDirectory(time.monotonic, catalogue, learned)
    reachable: dict[str, Endpoint] = {}
    offers: dict[str, Offer] = {}
    for name, provider in settings.providers.items():
        try:
            reachable[name] = _endpoint(provider, environ, make_pool)
        except ConfigurationError as error:
            offers[name] = _unasked(provider, error, catalogue)
    try:
        for offer in await directory.list_offers(list(reachable.values())):
            offers[offer.provider] = offer
    finally:
        await directory.close()
        for endpoint in reachable.values():
            await endpoint.pool.close()
        deadlines.close()
    scene = Scene(
        routes=settings.routes,
        local=local,
        offers=[offers[name] for name in settings.providers],
        price_as={name: one.price_as or "" for name, one in settings.providers.items()},
        is_running=False,
    )
    return await asyncio.to_thread(describe, scene, facts)


def _endpoint(provider: ProviderSettings, environ: Mapping[str, str], make_pool: PoolFactory) -> Endpoint:
    [endpoint] = Endpoints.build({provider.name: provider}, environ, make_pool)
    return endpoint


def _unasked(provider: ProviderSettings, error: ConfigurationError, catalogue: Catalogue) -> Offer:
    known = provider.models or catalogue(provider.price_as or "")
    models = dict.fromkeys(known, UNKNOWN)
    return Offer(provider.name, models, "declared" if provider.models else "catalogue", error.message)

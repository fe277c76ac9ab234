"""Where the list of what can be asked for comes from: the gateway that runs, else a look without one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from shareai_cli.cli.invocation import Invocation
from shareai_cli.cli.progress import Progress
from shareai_cli.errors import UsageError
from shareai_cli.types import NODE

if TYPE_CHECKING:
    from shareai_cli.cli.models.filters import Filter
    from shareai_cli.config import Settings
    from shareai_cli.types import ModelListing


def look(run: Invocation, wanted: Filter) -> tuple[ModelListing, bool]:
    """Return what can be asked for, and whether a gateway runs.

    Without a gateway only those are asked who could have what is wanted. Raises `UsageError` for the name of
    a provider or route that is not there.
    """
    from shareai_cli.cli.state import find_running

    gateway = find_running(run.paths)
    if gateway is not None:
        with closing(gateway):
            status = gateway.status()
            _check(wanted, status.providers, status.routes)
            return gateway.list_models(), True
    settings = run.settings()
    _check(wanted, tuple(settings.providers), tuple(settings.routes))
    return _look_offline(run, wanted.narrow(settings)), False


def _look_offline(run: Invocation, settings: Settings) -> ModelListing:
    import asyncio

    from shareai_cli.catalog.facts import FactBook
    from shareai_cli.catalog.offered import OfferedModels
    from shareai_cli.catalog.prices import known_models
    from shareai_cli.gateway.browse_offline import browse_offline
    from shareai_cli.gateway.fleet import local_models
    from shareai_cli.node.models import has_llama

    local = local_models(run.settings(), has_llama())
    learned = OfferedModels(run.paths.offered_file).learn
    with Progress(f"Asking {', '.join(settings.providers)} for their models"):
        return asyncio.run(browse_offline(settings, local, run.environ, known_models, FactBook(), learned))


def _check(wanted: Filter, providers: Sequence[str], routes: Sequence[str]) -> None:
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import suggestion

    for name in wanted.providers:
        if name not in providers and name != NODE:
            raise UsageError(
                f"There is no provider {shown(name)}.", hint=suggestion(name, (*providers, NODE))
            )
    if wanted.route is not None and wanted.route not in routes:
        raise UsageError(f"There is no route {shown(wanted.route)}.", hint=suggestion(wanted.route, routes))

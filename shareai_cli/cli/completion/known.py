"""What a shell completes: commands, options, and the names of what there is, without asking anybody.

Parameters name these functions as their `autocompletion`. Names come from the configuration file, the
accounts, and what providers were last seen to offer. Those that a shell might take for more than a name are
left out: some of them come from providers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import typer

from shareai_cli.cli.invocation import Invocation
from shareai_cli.errors import ShareAIError

MOST: Final = 1000
"""Names that are offered at once."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_REQUESTS: Final = 10


def models(context: typer.Context, incomplete: str) -> list[str]:
    """Return everything that a request's `model` can be: routes, then targets, then their bare names."""
    names = _Names(context)
    return _fitting(incomplete, [*names.routes(), *names.targets(), *(names.bare() if incomplete else ())])


def targets(context: typer.Context, incomplete: str) -> list[str]:
    """Return what a route can lead to: `provider/model` and `node/model`."""
    return _fitting(incomplete, _Names(context).targets())


def targets_of_route(context: typer.Context, incomplete: str) -> list[str]:
    """Return the targets of the route that the line names before."""
    return _fitting(incomplete, _Names(context).targets_of(str(context.params.get("route"))))


def routes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the routes."""
    return _fitting(incomplete, _Names(context).routes())


def providers(context: typer.Context, incomplete: str) -> list[str]:
    """Return the providers."""
    return _fitting(incomplete, _Names(context).providers())


def provider_keys(context: typer.Context, incomplete: str) -> list[str]:
    """Return where the keys of the provider are kept that the line names before."""
    return _fitting(incomplete, _Names(context).provider_keys(str(context.params.get("name"))))


def local_models(context: typer.Context, incomplete: str) -> list[str]:
    """Return the models that this machine serves, by their bare names."""
    return _fitting(incomplete, _Names(context).local_models())


def presets(context: typer.Context, incomplete: str) -> list[str]:
    """Return the providers that are known beforehand."""
    from shareai_cli.catalog.presets import PRESETS

    return _fitting(incomplete, PRESETS)


def keys(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the clients' keys that are valid."""
    from shareai_cli.ledger.names import valid_key_names

    return _fitting(incomplete, valid_key_names(_run(context).paths))


def teams(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the teams."""
    from shareai_cli.ledger.names import team_names

    return _fitting(incomplete, team_names(_run(context).paths))


def subjects(context: typer.Context, incomplete: str) -> list[str]:
    """Return what limits can stand on; names only once it is typed of what."""
    named = {"team": teams, "key": keys, "route": routes, "target": targets}
    scope, slash, name = incomplete.partition("/")
    if slash and scope in named:
        with suppress(ShareAIError):  # no accounts yet, or none that can be read
            return [f"{scope}/{one}" for one in named[scope](context, name)]
        return []
    return [one for one in ("organization", *(f"{scope}/" for scope in named)) if one.startswith(incomplete)]


def limit_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of limits."""
    from shareai_cli.config.limits import LIMIT_NAMES

    return _fitting(incomplete, LIMIT_NAMES)


def limit_assignments(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of limits as what begins an assignment."""
    return [f"{name}=" for name in limit_names(context, incomplete)]


def requests(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of the latest requests."""
    from shareai_cli.ledger.names import latest_request_ids

    latest: list[str] = []
    with suppress(ShareAIError):  # no accounts yet, or none that can be read
        latest = latest_request_ids(_run(context).paths, _REQUESTS)
    return _fitting(incomplete, ["last", *latest])


class _Names:
    """What the configuration file declares, read as far as it can be: a problem elsewhere does no harm."""

    def __init__(self, context: typer.Context) -> None:
        import tomllib

        self._run = run = _run(context)
        try:
            self._values: Mapping[str, Any] = tomllib.loads(run.file.read_text("utf-8-sig"))
        except (OSError, ValueError):
            self._values = {}

    def providers(self) -> list[str]:
        if "providers" in self._values:
            return list(_table(self._values, "providers"))
        from shareai_cli.catalog.presets import PRESETS

        environ = self._run.environ
        return [one.name for one in PRESETS.values() if any(environ.get(name) for name in one.key_variables)]

    def provider_keys(self, provider: str) -> list[str]:
        declared = _table(_table(self._values, "providers"), provider).get("keys", [])
        return [str(key) for key in declared] if isinstance(declared, list) else []

    def routes(self) -> list[str]:
        return list(_table(self._values, "routes"))

    def local_models(self) -> Iterator[str]:
        from pathlib import PurePath

        declared = _table(self._values, "local").get("models", [])
        for item in declared if isinstance(declared, list) else []:
            table = item if isinstance(item, dict) else {"path": item}
            yield str(table.get("name") or PurePath(str(table.get("path", ""))).stem)
        if not declared and not self.providers():
            from shareai_cli.types import DEMO_MODEL

            yield DEMO_MODEL

    def targets(self) -> Iterator[str]:
        from shareai_cli.catalog.offered import remembered
        from shareai_cli.types import NODE

        yield from (f"{NODE}/{model}" for model in self.local_models())
        offered = remembered(self._run.paths.offered_file)
        for provider in self.providers():
            table = _table(_table(self._values, "providers"), provider)
            declared = table.get("models", [])
            known = [*(declared if isinstance(declared, list) else []), *offered.get(provider, [])]
            yield from (f"{provider}/{model}" for model in known)
        for route in self.routes():
            yield from self.targets_of(route)

    def targets_of(self, route: str) -> Iterator[str]:
        items = _table(_table(self._values, "routes"), route).get("targets", [])
        for item in items if isinstance(items, list) else []:
            yield str(item.get("target", "") if isinstance(item, dict) else item)

    def bare(self) -> Iterator[str]:
        return (target.partition("/")[2] for target in self.targets())


def _run(context: typer.Context) -> Invocation:
    """Return the run that is being completed, with the file that its line names so far."""
    root = context.find_root()
    run: Invocation = root.obj
    run.config_file = root.params.get("config") or run.config_file
    return run


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _fitting(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names that go on as what is typed, each once."""
    fitting = (name for name in names if name.startswith(incomplete) and _NAME.fullmatch(name))
    found: dict[str, None] = {}
    for name in fitting:
        found[name] = None
        if len(found) == MOST:
            break
    return list(found)

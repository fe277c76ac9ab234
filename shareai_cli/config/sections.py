"""Reads `[server]` and `[local]`."""

from __future__ import annotations

import re
from pathlib import Path

from shareai_cli.config.address import HIGHEST_PORT, is_host
from shareai_cli.config.reading import KeyPath, Source, Table, kind_of, shown
from shareai_cli.config.settings import (
    MEBIBYTE,
    LocalSettings,
    ServerSettings,
)
from shareai_cli.errors import ConfigurationError
from shareai_cli.paths import absolute
from shareai_cli.types import NODE, LocalModel, Target

ROUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
MOST_NAMED = 1_000
"""Providers, and routes."""

_MOST_LOCAL = 1000
_LONGEST_MODEL = 512


def read_server(root: Table) -> ServerSettings:
    """Check `[server]`; raises `ConfigurationError`."""
    table = root.table("server", ServerSettings.__struct_fields__)
    default = ServerSettings()
    host = table.text("host", default.host, limit=253)
    if not is_host(host):
        raise table.error("host", "is not a host name or an IP address.", hint='host = "127.0.0.1"')
    hostnames = tuple(name.lower() for name in table.texts("hostnames", most=64, limit=253))
    if not all(map(is_host, hostnames)):
        raise table.error("hostnames", "are names by which clients call this machine, without a port.")
    return ServerSettings(
        host=host,
        port=table.integer("port", default.port, least=0, most=HIGHEST_PORT),
        hostnames=hostnames,
        keep_alive_comments=table.number(
            "keep_alive_comments", default.keep_alive_comments, least=0, most=3600
        ),
        drain=table.number("drain", default.drain, least=0, most=3600),
        connections=table.integer("connections", default.connections, least=1, most=1_000_000),
        body_limit=table.integer("body_limit", default.body_limit, least=1024, most=1024 * MEBIBYTE),
    )


def read_local(root: Table, source: Source) -> LocalSettings:
    """Check `[local]`; the files themselves are looked at by whoever serves them."""
    table = root.table("local", LocalSettings.__struct_fields__)
    context, threads = _context(table), _threads(table)
    models: dict[str, LocalModel] = {}
    paths: set[str] = set()
    for index, item in enumerate(table.items("models", most=_MOST_LOCAL)):
        place: KeyPath = ("local", "models", index)
        model = _local_model(source, place, item, context, threads)
        if model.path in paths:
            raise source.error(place, f"{shown(model.path)} is there twice.")
        if model.id in models:
            raise source.error(
                place,
                f"{NODE}/{model.id} would mean two files.",
                hint=f'Give one of them another name: {{path = "...", name = "{model.id}-2"}}',
            )
        models[model.id] = model
        paths.add(model.path)
    return LocalSettings(models=tuple(models.values()), context=context, threads=threads)


def _local_model(
    source: Source, place: KeyPath, item: object, context: int | None, threads: int | None
) -> LocalModel:
    """Read one model: the path alone, or a table with its path, its name and how to load it."""
    if isinstance(item, str):
        item = {"path": item}
    if not isinstance(item, dict):
        raise source.error(
            place,
            f"should be a text, and is {kind_of(item)}.",
            hint='"~/models/MODEL.gguf" or {path = "~/models/MODEL.gguf", name = "model"}',
        )
    table = Table(source, place, item, ("path", "name", "context", "threads"))
    path = absolute(Path(table.text("path", "")), source.file.parent)
    if not table.text("path", "") or not path.stem:
        raise source.error(place, "should be the path of a GGUF file.")
    name = table.text("name", path.stem)
    if table.has("name") and not ROUTE_NAME.fullmatch(name):
        raise table.error("name", "has letters, digits and . _ : -, at most 128, no slash.")
    own_context, own_threads = _context(table), _threads(table)
    return LocalModel(name, str(path), own_context or context, own_threads or threads)


def _context(table: Table) -> int | None:
    return table.integer("context", None, least=8, most=1 << 24)


def _threads(table: Table) -> int | None:
    return table.integer("threads", None, least=1, most=4096)


def parse_target(text: str) -> Target:
    """Split `provider/model` at its first slash; `ConfigurationError` where that is not its form."""
    provider, slash, model = text.partition("/")
    if not slash or not provider or not model or len(text) > _LONGEST_MODEL or not text.isprintable():
        raise ConfigurationError(
            f"{shown(text)} is not a target.", hint="A target is provider/model, such as openai/gpt-5-mini."
        )
    return Target(provider, model)

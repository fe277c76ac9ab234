"""Reads `[providers.NAME.headers]`: header fields that go with every request to a provider."""

from __future__ import annotations

import re
from typing import get_args

from shareai_cli.config.reading import KeyPath, Source, Table, kind_of, shown
from shareai_cli.config.settings import Header
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import REFERENCE_FORMS, ReferenceKind, Secret, parse_reference

_MOST_HEADERS = 50
_LONGEST_VALUE = 4096

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""A token (RFC 9110, section 5.6.2)."""

_REFUSED = {
    "authorization": "is made of the provider's keys: keys = [...].",
    "proxy-authorization": "is made of the proxy's URL, http://USER:PASSWORD@HOST:PORT.",
    **dict.fromkeys(
        ("host", "content-length", "content-type", "accept", "accept-encoding", "user-agent", "expect"),
        "is written by ShareAI itself.",
    ),
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        "is about a single connection, and no provider's business.",
    ),
}


def read_headers(source: Source, table: Table, provider: str) -> tuple[Header, ...]:
    """Check a provider's header fields; raises `ConfigurationError`, which repeats no value."""
    path: KeyPath = ("providers", provider, "headers")
    found = table.tables(
        "headers", lambda name, value: _read_header(source, (*path, name), name, value), most=_MOST_HEADERS
    )
    seen: set[str] = set()
    for name in found:
        if name.lower() in seen:
            raise source.error((*path, name), "is there twice; capitals make no difference.")
        seen.add(name.lower())
    return tuple(found.values())


def _read_header(source: Source, path: KeyPath, name: str, value: object) -> Header:
    if not _NAME.fullmatch(name):
        raise source.error(path, f"{shown(name)} is not the name of a header field.", hint='X-Title = "..."')
    refusal = _REFUSED.get(name.lower())
    if refusal is not None:
        raise source.error(path, refusal)
    if not isinstance(value, str):
        raise source.error(path, f"should be a text, and is {kind_of(value)}.")
    if value.partition(":")[0] not in get_args(ReferenceKind):
        return Header(name, _written_out(source, path, value))
    try:
        return Header(name, parse_reference(value).located(source.file.parent))
    except ConfigurationError as error:
        raise source.error(path, error.message, hint=error.hint) from None


def _written_out(source: Source, path: KeyPath, value: str) -> Secret:
    text = value.strip()
    if not text or len(text) > _LONGEST_VALUE or not (text.isascii() and text.isprintable()):
        raise source.error(
            path,
            f"should be one line of printable ASCII, at most {_LONGEST_VALUE} characters.",
            hint=f"A secret is named by where it is kept: {REFERENCE_FORMS}.",
        )
    return Secret(text)

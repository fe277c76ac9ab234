"""Reads `[webhook]`: the URL that is told what happens, and where the secret is kept that signs it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from shareai_cli.config.address import LONGEST_URL, check_base_url, is_loopback
from shareai_cli.config.network import way_out
from shareai_cli.config.reading import Source, Table
from shareai_cli.config.settings import NetworkSettings, WebhookSettings
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import MASK, SecretReference, parse_reference, resolve

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
SHORTEST_KEY: Final = 24
LONGEST_KEY: Final = 64
"""Bytes of a signing key (standardwebhooks.com, "Signature scheme")."""

EXAMPLE: Final = 'url = "https://example.com/hooks/shareai"'
MAKE: Final = "echo whsec_$(openssl rand -base64 32) makes one."


def read_webhook(
    root: Table, source: Source, network: NetworkSettings, environ: Mapping[str, str]
) -> WebhookSettings | None:
    """Check `[webhook]`; None where there is none. `ConfigurationError` never repeats the URL."""
    if not root.has("webhook"):
        return None
    table = root.table("webhook", ("url", "secret"))
    for key, example in (("url", EXAMPLE), ("secret", 'secret = "env:SHAREAI_WEBHOOK_SECRET"')):
        if not table.has(key):
            raise source.error(("webhook",), f"{key} is missing.", hint=example)
    url = _url(table)
    return WebhookSettings(url, _secret(table, source), way_out(url, network, environ))


def signing_key(webhook: WebhookSettings, environ: Mapping[str, str]) -> bytes:
    """Fetch the bytes that sign; `ConfigurationError` says what is missing, and never repeats the secret."""
    try:
        text = resolve(webhook.secret, environ).reveal().removeprefix(SECRET_PREFIX)
    except ConfigurationError as error:
        raise ConfigurationError(f"Webhook: {error.message}", hint=error.hint) from None
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ConfigurationError(
            f"Webhook: what {webhook.secret.name} holds is no signing secret, which is {SECRET_PREFIX} and "
            f"{SHORTEST_KEY} to {LONGEST_KEY} bytes in base64.",
            hint=MAKE,
        )
    return key


def shown_url(url: str) -> str:
    """Return a URL without what may be secret in it: all that follows the host."""
    parts = urlsplit(url)
    rest = f"/{MASK}" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{rest}"


def _url(table: Table) -> str:
    url = table.text("url", "", limit=LONGEST_URL)
    base, _, query = url.partition("?")
    try:
        _, host = check_base_url(base)
    except ConfigurationError as error:
        raise table.error("url", error.message, hint=EXAMPLE) from None
    if not query.isascii() or any(character in query for character in ' "<>\\^`{|}#'):
        raise table.error("url", "has characters in its query that have to be percent-encoded.")
    if urlsplit(url).scheme == "http" and not is_loopback(host):
        raise table.error("url", "goes unencrypted to another machine.", hint=EXAMPLE)
    return url


def _secret(table: Table, source: Source) -> SecretReference:
    text = table.text("secret", "")
    try:
        return parse_reference(text).located(source.file.parent)
    except ConfigurationError as error:
        raise table.error("secret", error.message, hint=error.hint) from None

"""Which gateway a chat goes to, and the key that it presents there."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from shareai_cli.cli.invocation import Invocation
from shareai_cli.cli.own_gateway import reach_or_start
from shareai_cli.errors import (
    AuthenticationFailed,
    ConfigurationError,
    GatewayUnreachable,
    ShareAIError,
    UsageError,
)
from shareai_cli.secrets import Secret, check_key_text

if TYPE_CHECKING:
    from shareai_cli.client import Admin
    from shareai_cli.types import RequestRow

KEY_VARIABLE: Final = "SHAREAI_KEY"
"""Holds a client's key of a gateway; the provider's keys have variables of their own."""

SETTLED_SECONDS: Final = 1.0
"""How long a gateway may take to notice that a stopped answer is no longer wanted."""


class Access(Protocol):
    """The way to a gateway."""

    key: Secret
    base_url: str
    """With `/v1`."""
    is_own: bool
    """Whether the gateway is this machine's, and no proxy lies before it."""
    is_temporary: bool
    """Whether the gateway runs for this chat alone."""

    def reconnect(self) -> bool:
        """Look for the gateway again, as it no longer answers; returns whether there is another one."""

    def renew_key(self) -> bool:
        """Get another key, as this one is refused; returns whether there is one."""

    def default_model(self) -> str | None:
        """Return the model to talk to where none is named; None where only the list of models can tell."""

    def account(self, request_id: str) -> RequestRow | None:
        """Return what the accounts say of a request that has ended; None where they cannot be asked."""

    def close(self) -> None:
        """End what was started for this chat."""


class RemoteAccess:
    """A gateway that was named, with the key that was given for it and no other."""

    is_own = False
    is_temporary = False

    def __init__(self, url: str, key: Secret | None, *, allow_http: bool) -> None:
        self.base_url = _base_url(url, allow_http=allow_http)
        if key is None:
            raise AuthenticationFailed(
                f"There is no key for the gateway at {self.base_url}.",
                hint=f"Set {KEY_VARIABLE}, or give the key with --key-stdin; 'shareai key create NAME' "
                "makes one there.",
            )
        self.key = key

    def reconnect(self) -> bool:
        """See `Access`."""
        return False

    def renew_key(self) -> bool:
        """See `Access`."""
        return False

    def default_model(self) -> str | None:
        """See `Access`."""
        return None

    def account(self, request_id: str) -> RequestRow | None:
        """See `Access`."""
        return None

    def close(self) -> None:
        """See `Access`."""


class OwnAccess:
    """This machine's gateway: the one that runs, else one that is started for this chat.

    Without a key that was given, chat presents one of its own (see `key`).
    """

    is_own = True

    def __init__(self, run: Invocation, key: Secret | None) -> None:
        self._run = run
        self._given = key
        self._closing = ExitStack()
        self.is_temporary = False
        try:
            self._connect()
        except BaseException:
            self._closing.close()
            raise

    def reconnect(self) -> bool:
        """See `Access`."""
        former = self.base_url
        self._connect()
        return self.base_url != former

    def renew_key(self) -> bool:
        """See `Access`."""
        from shareai_cli.cli.chat.key import new_key

        if self._given is not None:
            return False
        self.key = new_key(self._run.paths, self._admin)
        return True

    def default_model(self) -> str | None:
        """See `Access`."""
        status = self._admin.status()
        return next(iter((*status.routes, *(model.id for model in status.local_models))), None)

    def account(self, request_id: str) -> RequestRow | None:
        """See `Access`."""
        return account_of(self._admin, request_id)

    def close(self) -> None:
        """See `Access`."""
        self._closing.close()

    def _connect(self) -> None:
        from shareai_cli.cli.chat.key import own_key
        from shareai_cli.client import find_gateway

        self._admin, is_started = reach_or_start(self._run, self._closing, "chat")
        self.is_temporary = self.is_temporary or is_started
        address = find_gateway(self._run.paths)
        if address is None:
            raise GatewayUnreachable("The gateway has ended just now.", hint="The same command again.")
        self.base_url = f"{address.address}/v1"
        self.key = self._given or own_key(self._run.paths, self._admin)


def open_access(run: Invocation, url: str | None, key: Secret | None, *, allow_http: bool) -> Access:
    """Find the gateway that is named, else this machine's own; raises `ShareAIError`.

    A key that was given comes before the variable's.
    """
    given = key or key_of_variable(run)
    return OwnAccess(run, given) if url is None else RemoteAccess(url, given, allow_http=allow_http)


def account_of(admin: Admin, request_id: str) -> RequestRow | None:
    """Return what the accounts say of a request that has ended, or ends now; None where they cannot tell."""
    until = time.monotonic() + SETTLED_SECONDS
    try:
        row = admin.request(request_id)
        while row.outcome is None and time.monotonic() < until:
            time.sleep(0.02)
            row = admin.request(request_id)
    except ShareAIError:
        return None
    return row if row.outcome is not None else None


def key_of_variable(run: Invocation) -> Secret | None:
    """Return the key that the variable holds; raises `ConfigurationError` where that is none."""
    text = run.environ.get(KEY_VARIABLE, "")
    if not text.strip():
        return None
    key = check_key_text(text)
    if key is None:
        raise ConfigurationError(
            f"The variable {KEY_VARIABLE} does not hold a key, which is one line of printable ASCII.",
            hint="Unset it, and chat uses a key of its own on this machine.",
        )
    return key


def _base_url(url: str, *, allow_http: bool) -> str:
    """Return the address that requests go under; raises `UsageError`."""
    from shareai_cli.config.address import check_base_url, is_loopback

    try:
        checked, host = check_base_url(url)
    except ConfigurationError as error:
        raise UsageError(f"--gateway {error.message}", hint=error.hint) from None
    if checked.startswith("http://") and not is_loopback(host) and not allow_http:
        raise UsageError(
            "--gateway: the key would cross the network unencrypted.",
            hint="Use https://, or add --allow-http where that network is trusted.",
        )
    return checked if urlsplit(checked).path.rstrip("/") else f"{checked.rstrip('/')}/v1"

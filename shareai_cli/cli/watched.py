"""Where `shareai dash` and `shareai status --watch` find a gateway: this machine's, or one that is named."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from shareai_cli.cli.invocation import Invocation
from shareai_cli.client import Admin, GatewayAddress
from shareai_cli.errors import AuthenticationFailed, ConfigurationError, GatewayUnreachable, UsageError
from shareai_cli.paths import Paths
from shareai_cli.watching import HttpGateway, Source

if TYPE_CHECKING:
    from shareai_cli.gateway.administration import DeclaredLimits

TOKEN_VARIABLE: Final = "SHAREAI_ADMIN_TOKEN"  # noqa: S105 - a variable's name
"""Holds the admin token of a gateway on another machine."""


class OwnSource:
    """The gateway of this state folder, and its accounts."""

    def __init__(self, paths: Paths, declared: DeclaredLimits = dict) -> None:
        self.name = "this machine's gateway"
        self._paths = paths
        self._declared = declared

    def connect(self) -> HttpGateway | None:
        """See `Source`."""
        from shareai_cli.cli.state import find_running
        from shareai_cli.client import find_gateway

        found = find_running(self._paths)
        if found is None:
            return None
        found.close()
        where = find_gateway(self._paths)
        return HttpGateway(where) if where is not None else None

    def accounts(self) -> AbstractContextManager[Admin]:
        """See `Source`."""
        from shareai_cli.cli.state import open_admin

        return open_admin(self._paths, self._declared)


class NamedSource:
    """A gateway that was named."""

    def __init__(self, where: GatewayAddress) -> None:
        self.name = where.address
        self._where = where

    def connect(self) -> HttpGateway:
        """See `Source`."""
        return HttpGateway(self._where)

    def accounts(self) -> AbstractContextManager[Admin]:
        """See `Source`; another machine's accounts can only be had from its gateway."""
        raise GatewayUnreachable(f"The gateway at {self.name} does not answer.")


def find_source(run: Invocation, url: str | None, *, allow_http: bool) -> Source:
    """Return where to look; raises `UsageError` and `AuthenticationFailed`."""
    if url is None:
        return OwnSource(run.paths, lambda: run.settings().limits)
    from shareai_cli.config.address import check_base_url, is_loopback

    try:
        checked, host = check_base_url(url)
    except ConfigurationError as error:
        raise UsageError(f"--gateway {error.message}", hint=error.hint) from None
    if checked.startswith("http://") and not is_loopback(host) and not allow_http:
        raise UsageError(
            "--gateway: the admin token would cross the network unencrypted.",
            hint="Use https://, an SSH tunnel, or add --allow-http where that network is trusted.",
        )
    token = run.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise AuthenticationFailed(
            "There is no admin token for that gateway.",
            hint=f"Set {TOKEN_VARIABLE}; on its machine the token lies in gateway.json of the state folder.",
        )
    return NamedSource(GatewayAddress(checked.rstrip("/").removesuffix("/v1"), token, 0))

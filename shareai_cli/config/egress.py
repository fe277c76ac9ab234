"""The way out to a provider: directly or through a proxy, and whose certificates are trusted on it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from shareai_cli.secrets import MASK, Secret


class Proxy(Struct, frozen=True):
    """An HTTP proxy through which connections are tunnelled (CONNECT; RFC 9110, section 9.3.6)."""

    scheme: Literal["http", "https"]
    """How the proxy itself is spoken to."""
    host: str
    """A name or an address, an IPv6 address without brackets."""
    port: int
    credentials: Secret | None = None
    """`user:password`, decoded, for Basic authentication (RFC 7617)."""
    named_by: str = ""
    """The setting or the variable that names it: where to mend it."""

    def __hash__(self) -> int:
        # A secret has no hash; what is equal without it is compared with it.
        return hash((self.scheme, self.host, self.port, self.named_by))

    @property
    def url(self) -> str:
        """Its URL, to be shown: user name and password are masked."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{f'{MASK}@' if self.credentials is not None else ''}{host}:{self.port}"


class Authority(Struct, frozen=True):
    """A file, or a folder, of certificates in PEM that are trusted beside the system's."""

    path: Path
    named_by: str
    """The setting or the variable that names it."""
    is_folder: bool = False
    """Whether it is a folder of files named by their hashes (`openssl rehash`)."""


class Egress(Struct, frozen=True):
    """How one provider is reached; equal ways can share connections."""

    proxy: Proxy | None = None
    """None goes there directly."""
    authorities: tuple[Authority, ...] = ()
    """Trusted beside the system's; none where there is no TLS."""

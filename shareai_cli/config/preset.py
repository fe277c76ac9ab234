"""What is known of a provider before anything is declared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from shareai_cli.config.address import is_loopback
from shareai_cli.errors import ConfigurationError

KeyStyle = Literal["bearer", "api-key", "anthropic"]
"""How a key is presented: `Authorization: Bearer KEY` (RFC 6750), `api-key: KEY`, or `x-api-key: KEY` with
`anthropic-version`."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Blank(Struct, frozen=True):
    """The part of a preset's address that differs from person to person: one label of its host's name."""

    name: str
    """What it is called: `{NAME}` stands for it in the address, `--NAME` gives it."""
    example: str
    variables: tuple[str, ...]
    """The variables in which it is customarily kept, the first one first."""


class Preset(Struct, frozen=True):
    """A provider that needs nothing but its name and a key."""

    name: str
    title: str
    """The name as its owner writes it."""
    base_url: str
    """May have a blank in it."""
    key_variables: tuple[str, ...]
    """The variables in which its key is customarily kept, the first one first; none where it wants no key."""
    check: str
    """Path under the base URL whose GET is free and refuses a wrong key."""
    price_as: str
    """The provider's id in genai-prices; `node` where nothing is to be paid; empty where none is known."""
    key_page: str | None = None
    """Where its owner gives out keys."""
    key_style: KeyStyle = "bearer"
    check_style: KeyStyle | None = None
    """How the free call presents the key, where it is not the way of all other requests."""
    stream_usage: bool = True
    """Whether it takes `stream_options.include_usage`."""
    responses: bool = False
    """Whether it has `/responses`."""
    embeddings: bool = False
    """Whether it has `/embeddings`."""
    blank: Blank | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is an engine on this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    def filled(self, value: str) -> str:
        """Return the base URL with its blank, if it has one, filled in; raises `ConfigurationError`."""
        if self.blank is None:
            return self.base_url
        label = value.strip().lower()
        if not _LABEL.fullmatch(label):
            raise ConfigurationError(
                f"{self.title}'s {self.blank.name} has letters, digits and -, at most 63.",
                hint=f"Such as {self.blank.example}: the address is {self.template}",
            )
        return self.base_url.replace(f"{{{self.blank.name}}}", label)

    @property
    def template(self) -> str:
        """The base URL as a person is told of it, its blank in capitals."""
        if self.blank is None:
            return self.base_url
        return self.base_url.replace(f"{{{self.blank.name}}}", self.blank.name.upper())

    def address(self, environ: Mapping[str, str]) -> str | None:
        """Return the base URL, its blank filled in from the environment; None where nothing fills it.

        Raises `ConfigurationError`, which names the variable.
        """
        if self.blank is None:
            return self.base_url
        for variable in self.blank.variables:
            value = environ.get(variable, "")
            if value.strip():
                try:
                    return self.filled(value)
                except ConfigurationError as error:
                    raise ConfigurationError(f"{variable}: {error.message}", hint=error.hint) from None
        return None

    def owns(self, base_url: str) -> bool:
        """Tell whether an address is this provider's own, so that its customary key may go there."""
        if self.blank is None:
            return base_url == self.base_url
        before, _, after = self.base_url.partition(f"{{{self.blank.name}}}")
        inside = base_url[len(before) : len(base_url) - len(after)]
        return base_url == f"{before}{inside}{after}" and bool(_LABEL.fullmatch(inside.lower()))

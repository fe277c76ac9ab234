"""Where `provider add` is told that a provider is; refused in the command line's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shareai_cli.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from shareai_cli.config import Preset, ProviderSettings, Settings


def address_of(
    name: str, base_url: str | None, preset: str | None, blanks: Mapping[str, str | None], settings: Settings
) -> str | None:
    """Return the address that the options give; refuses what cannot become a provider, in their own words."""
    from shareai_cli.catalog.presets import PRESETS
    from shareai_cli.config.address import check_base_url
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import nearest, suggestion

    if preset is not None and preset not in PRESETS:
        raise UsageError(f"There is no preset {shown(preset)}.", hint=suggestion(preset, tuple(PRESETS)))
    chosen = PRESETS.get(preset or name)
    given = [option for option, value in blanks.items() if value is not None]
    if given:
        return _filled(chosen, given[0], blanks[given[0]] or "", base_url)
    if base_url is not None:
        try:
            return check_base_url(base_url)[0]
        except ConfigurationError as error:
            raise UsageError(f"--base-url {error.message}", hint=error.hint) from None
    if chosen is None and name not in settings.providers:
        near = nearest(name, PRESETS)
        raise UsageError(
            f"{shown(name)} is not one of the known providers.",
            hint=f"Did you mean {near}? Any other needs --base-url."
            if near
            else "shareai provider presets lists them. Any other needs --base-url URL.",
        )
    return None


def _filled(preset: Preset | None, option: str, value: str, base_url: str | None) -> str:
    """Return a preset's address with its blank filled in by an option."""
    if base_url is not None:
        raise UsageError(f"--{option} and --base-url both say where it is.", hint="Give one of them.")
    if preset is None or preset.blank is None or preset.blank.name != option:
        from shareai_cli.catalog.presets import PRESETS

        owner = next(one.name for one in PRESETS.values() if one.blank and one.blank.name == option)
        raise UsageError(f"--{option} is for {owner} alone.")
    try:
        return preset.filled(value)
    except ConfigurationError as error:
        raise UsageError(f"--{option}: {error.message}", hint=error.hint) from None


def address_in_environment(
    name: str, preset_name: str | None, settings: Settings, environ: Mapping[str, str]
) -> str | None:
    """Return the address of a preset that has a blank, filled in by a variable; None for all others.

    Raises `UsageError` where nothing fills it.
    """
    from shareai_cli.catalog.presets import PRESETS

    preset = PRESETS.get(preset_name or name)
    is_declared = name in settings.providers and not settings.discovered
    if preset is None or preset.blank is None or is_declared:
        return None
    address = preset.address(environ)
    if address is None:
        raise UsageError(
            f"{preset.title}'s address has your {preset.blank.name} in it: {preset.template}",
            hint=f"shareai provider add {name} --{preset.blank.name} {preset.blank.example}",
        )
    return address


def check_encrypted(base_url: str) -> None:
    """Refuse an address to which a key would go as plain text."""
    from shareai_cli.config.address import check_base_url, is_loopback

    _, host = check_base_url(base_url)
    if base_url.startswith("http://") and not is_loopback(host):
        raise UsageError(
            "--base-url: the keys would cross the network unencrypted.",
            hint="Use https://, or add --allow-http where that network is trusted.",
        )


def check_not_itself(provider: ProviderSettings, settings: Settings) -> None:
    """Refuse the gateway's own address: requests would go round in circles."""
    from shareai_cli.config.address import is_loopback

    parts = urlsplit(provider.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if port == settings.server.port and is_loopback(parts.hostname or ""):
        raise UsageError(
            f"{provider.base_url} is where the gateway itself listens.",
            hint="Let the engine, or the gateway ([server] port), listen on another port.",
        )

"""Reads `[providers.NAME]`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast, get_args

from shareai_cli.config.address import check_base_url, is_loopback
from shareai_cli.config.headers import read_headers
from shareai_cli.config.network import read_authority, read_proxy, way_out
from shareai_cli.config.preset import KeyStyle, Preset
from shareai_cli.config.reading import Source, Table, listed, shown
from shareai_cli.config.settings import NetworkSettings, ProviderSettings, TimeLimits
from shareai_cli.errors import ConfigurationError
from shareai_cli.nearest import suggestion
from shareai_cli.secrets import SecretReference, looks_like_key, parse_reference
from shareai_cli.types import NODE

PROVIDER_NAME = re.compile(r"[a-z0-9_-]{1,64}")
DEFAULT_CHECK = "/models"
"""What speaks the OpenAI API lists its models there, free of charge."""

_KNOWN = ("preset", "base_url", "keys", "timeouts", "check", "key_style", "check_style", "price_as",
          "stream_usage", "models", "allow_http", "headers", "proxy", "ca_file")  # fmt: skip
_PHASES = ("connect", "head", "content", "gap", "total")
_LONGEST_WAIT = 86_400.0
_MOST_KEYS = 100
_MOST_MODELS = 10_000


def preset_provider(
    preset: Preset, base_url: str, environ: Mapping[str, str], network: NetworkSettings
) -> ProviderSettings:
    """Return a provider of which nothing but the preset is declared; raises `ConfigurationError`."""
    return ProviderSettings(
        name=preset.name,
        preset=preset.name,
        base_url=base_url,
        keys=_customary_keys(preset, environ),
        check=preset.check,
        key_style=preset.key_style,
        check_style=preset.check_style or preset.key_style,
        price_as=preset.price_as or None,
        stream_usage=preset.stream_usage,
        egress=way_out(base_url, network, environ),
    )


def read_provider(
    source: Source,
    name: str,
    value: object,
    environ: Mapping[str, str],
    presets: Mapping[str, Preset],
    network: NetworkSettings,
) -> ProviderSettings:
    """Check one provider and fill in what its preset knows; raises `ConfigurationError`."""
    path = ("providers", name)
    problem = name_problem(name)
    if problem is not None:
        raise source.error(path, problem)
    table = Table(source, path, value, _KNOWN)
    preset = _preset(table, name, presets)
    base_url, host = _base_url(source, table, name, preset, presets, environ)
    keys = _keys(source, table, name)
    if keys is None:
        keys = _customary_keys(preset, environ) if preset is not None else ()
        if preset is not None and keys and not preset.owns(base_url):
            raise source.error(
                path,
                f"keys has to say which keys go to an address that is not {preset.title}'s own.",
                hint=f'keys = ["env:{preset.key_variables[0]}"], or keys = [] for none.',
            )
    allow_http = table.flag("allow_http", False)
    if keys and base_url.startswith("http://") and not is_loopback(host) and not allow_http:
        raise table.error(
            "base_url",
            "the keys would cross the network unencrypted.",
            hint="Use https://, or set allow_http = true where that network is trusted.",
        )
    key_style = _style(table, "key_style", preset.key_style if preset is not None else "bearer")
    return ProviderSettings(
        name=name,
        preset=preset.name if preset is not None else None,
        base_url=base_url,
        keys=keys,
        timeouts=_timeouts(table),
        check=_check(table, preset.check if preset is not None else DEFAULT_CHECK),
        key_style=key_style,
        check_style=_style(table, "check_style", (preset and preset.check_style) or key_style),
        price_as=table.text("price_as", preset.price_as if preset else None, limit=64) or None,
        stream_usage=table.flag("stream_usage", preset.stream_usage if preset else True),
        models=table.texts("models", most=_MOST_MODELS, limit=512),
        allow_http=allow_http,
        headers=read_headers(source, table, name),
        egress=way_out(
            base_url,
            network,
            environ,
            read_proxy(table, f"providers.{name}"),
            read_authority(table, source, f"providers.{name}"),
        ),
    )


def name_problem(name: str) -> str | None:
    """Return what is wrong with a provider's name; None where nothing is."""
    if not PROVIDER_NAME.fullmatch(name):
        return "a provider's name has small letters, digits, - and _, at most 64."
    if looks_like_key(name):
        return "this looks like a key, not like a name."
    if name == NODE:
        return f"'{NODE}' stands for this machine's own models; choose another name."
    return None


def _preset(table: Table, name: str, presets: Mapping[str, Preset]) -> Preset | None:
    if not table.has("preset"):
        return presets.get(name)
    chosen = table.text("preset", "")
    preset = presets.get(chosen)
    if preset is None:
        raise table.error("preset", f"{shown(chosen)} is not known.", hint=suggestion(chosen, tuple(presets)))
    return preset


def _base_url(
    source: Source,
    table: Table,
    name: str,
    preset: Preset | None,
    presets: Mapping[str, Preset],
    environ: Mapping[str, str],
) -> tuple[str, str]:
    default = preset.address(environ) if preset is not None and not table.has("base_url") else None
    text = table.text("base_url", default)
    if text is None and preset is not None and preset.blank is not None:
        raise source.error(
            ("providers", name),
            f"base_url is missing: it has your {preset.blank.name} in it.",
            hint=f'base_url = "{preset.template}", or set {preset.blank.variables[0]}',
        )
    if text is None:
        raise source.error(
            ("providers", name),
            "base_url is missing.",
            hint=f"Only the presets {listed(presets)} go without." if presets else None,
        )
    try:
        return check_base_url(text)
    except ConfigurationError as error:
        raise table.error("base_url", error.message, hint=error.hint) from None


def _keys(source: Source, table: Table, name: str) -> tuple[SecretReference, ...] | None:
    """Return the references, or None where none are declared; no message repeats one, it may be a key."""
    if not table.has("keys"):
        return None
    found: list[SecretReference] = []
    for index, item in enumerate(table.items("keys", most=_MOST_KEYS)):
        path = ("providers", name, "keys", index)
        if not isinstance(item, str):
            raise source.error(path, "should be a text.", hint='keys = ["env:ALPHA_KEY"]')
        try:
            reference = parse_reference(item).located(source.file.parent)
        except ConfigurationError as error:
            raise source.error(path, error.message, hint=error.hint) from None
        if reference in found:
            raise source.error(path, f"{reference.name} is there twice.")
        found.append(reference)
    return tuple(found)


def _style(table: Table, key: str, default: KeyStyle) -> KeyStyle:
    return cast(KeyStyle, table.choice(key, default, get_args(KeyStyle)))


def _customary_keys(preset: Preset, environ: Mapping[str, str]) -> tuple[SecretReference, ...]:
    variables: Sequence[str] = preset.key_variables
    if not variables:
        return ()
    chosen = next((name for name in variables if environ.get(name, "").strip()), variables[0])
    return (SecretReference("env", chosen),)


def _timeouts(table: Table) -> TimeLimits:
    inner = table.table("timeouts", _PHASES)
    defaults = TimeLimits()
    return TimeLimits(
        **{
            phase: inner.number(phase, getattr(defaults, phase), least=0, most=_LONGEST_WAIT, positive=True)
            for phase in _PHASES
        }
    )


def _check(table: Table, default: str) -> str | None:
    path = table.text("check", default, limit=512)
    if not path:
        return None
    if not path.startswith("/") or not path.isascii() or " " in path or "#" in path:
        raise table.error(
            "check", "should be a path under base_url.", hint='check = "/models", or "" for none.'
        )
    return path

"""`shareai config`: check and show the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from shareai_cli.config import Settings
    from shareai_cli.config.origins import Setting

app = new_app("Check and show the configuration.", example="shareai config check")


@command(app, "check", example="shareai config check")
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check the configuration file, that its keys can be had and its model files are there.

    Exits with 3 where something is wrong.
    """
    run = invocation(context)
    try:
        settings = run.settings()
    except ConfigurationError as error:
        if not as_json:
            raise
        print_json({"ok": False, "file": run.file, "problems": [str(error)]})
        raise typer.Exit(ExitCode.CONFIGURATION) from None
    problems = find_problems(settings, run.environ)
    if settings.source is None and run.file.is_symlink():
        problems.append(f"{run.file} is a link to a file that is not there.")
    if as_json:
        print_json({"ok": not problems, "file": settings.source, "problems": problems})
    elif not problems:
        print_line(f"{settings.source or 'No configuration file'}: ok, {summary(settings)}.")
    for problem in problems if not as_json else ():
        note(problem)
    if problems:
        raise typer.Exit(ExitCode.CONFIGURATION)


@command(app, "show", example="shareai config show --json")
def show(
    context: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say of each setting where it came from.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the settings in effect, defaults filled in.

    Of keys only the places are shown where they are kept.
    """
    from shareai_cli.config.describe import describe

    run = invocation(context)
    settings = run.settings()
    if origin:
        _show_origins(run, settings, as_json=as_json)
        return
    fields = describe(settings)
    if as_json:
        print_json(fields)
        return
    import tomlkit

    print_line(f"# {settings.source or 'no configuration file'}")
    if settings.discovered:
        print_line(f"# providers found through {', '.join(settings.discovered)}")
    print_line(tomlkit.dumps(_without_nothing({key: fields[key] for key in _SECTIONS})).strip())


@command(app, "path", example="shareai config path")
def path(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print where the configuration file is, or would be."""
    run = invocation(context)
    if as_json:
        paths = run.paths
        print_json({"config_file": run.file, "state": paths.state, "database": paths.database})
    else:
        print_line(str(run.file))


def _show_origins(run: Invocation, settings: Settings, *, as_json: bool) -> None:
    from shareai_cli.catalog.presets import PRESETS
    from shareai_cli.config.origins import trace
    from shareai_cli.config.reading import decode, read_bytes

    text = decode(settings.source, read_bytes(settings.source)) if settings.source is not None else ""
    traced = trace(settings, text, run.environ, PRESETS)
    file = {"name": str(run.file), "exists": settings.source is not None, **_origin_of_file(run)}
    if as_json:
        print_json({"file": file, "settings": traced})
        return
    print_line(
        f"# {run.file}{'' if file['exists'] else ' (not there)'}: {file['place'] or 'the usual place'}"
    )
    print_table(
        ("SETTING", "VALUE", "FROM"),
        [(one.name, _written(one.value), _from(one, run.file.name)) for one in traced],
    )


def _origin_of_file(run: Invocation) -> dict[str, str]:
    from shareai_cli.paths import HOME_VARIABLE

    if run.config_file is not None:
        return {"origin": "flag", "place": "--config"}
    if run.environ.get(HOME_VARIABLE):
        return {"origin": "variable", "place": HOME_VARIABLE}
    return {"origin": "default", "place": ""}


def _from(setting: Setting, file: str) -> str:
    if setting.origin == "file":
        return f"{file}, line {setting.line}" if setting.line is not None else file
    words = {"variable": "variable ", "preset": "preset ", "default": "default"}
    return f"{words[setting.origin]}{setting.place}"


def _written(value: object) -> str:
    """Return a value as TOML would write it."""
    import json

    return json.dumps(value, ensure_ascii=False)


_SECTIONS = ("server", "network", "providers", "routes", "local", "limits", "webhook")


def find_problems(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return what a well-formed configuration refers to and cannot be had."""
    from shareai_cli.config.webhook import signing_key
    from shareai_cli.secrets import SecretReference, resolve, resolve_header
    from shareai_cli.wire.trust import client_context

    problems: list[str] = []
    for provider in settings.providers.values():
        for key in provider.keys:
            try:
                resolve(key, environ)
            except ConfigurationError as error:
                problems.append(f"Provider '{provider.name}': {error}")
        for header in provider.headers:
            try:
                if isinstance(header.value, SecretReference):
                    resolve_header(header.value, environ)
            except ConfigurationError as error:
                problems.append(f"Provider '{provider.name}', header {header.name}: {error}")
    authorities = (one for provider in settings.providers.values() for one in provider.egress.authorities)
    for authority in dict.fromkeys(authorities):
        try:
            client_context([authority])
        except ConfigurationError as error:
            problems.append(str(error))
    if settings.webhook is not None:
        try:
            signing_key(settings.webhook, environ)
        except ConfigurationError as error:
            problems.append(str(error))
    files = [Path(model.path) for model in settings.local.models]
    problems += [f"There is no file {file}." for file in files if not file.is_file()]
    return problems


def summary(settings: Settings) -> str:
    """Return how much is declared, in words."""
    counts = (
        (len(settings.providers), "provider"),
        (len(settings.routes), "route"),
        (len(settings.local.models), "local model"),
    )
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _without_nothing(value: Any) -> Any:
    """Leave out what is None: TOML has no such value."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return value

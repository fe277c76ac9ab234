"""`shareai provider`: add, list, test and remove cloud providers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.errors import ConfigurationError, StateError, UsageError

if TYPE_CHECKING:
    from shareai_cli.config import ProviderSettings, Settings
    from shareai_cli.secrets import Secret, SecretReference

app = new_app("Add, list, test and remove cloud providers.", example="shareai provider add openai")

_STDIN_LIMIT = 1 << 16

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.")]


@command(app, "add", example="shareai provider add openai --key-env OPENAI_API_KEY")
def add(
    context: typer.Context,
    name: NameArgument,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="Where it is, if no preset knows.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="PRESET", help="Fill in from this preset, under another name."),
    ] = None,
    key_env: Annotated[
        list[str] | None,
        typer.Option("--key-env", metavar="VARIABLE", help="A variable that holds a key; repeatable."),
    ] = None,
    key_file: Annotated[
        list[Path] | None,
        typer.Option("--key-file", metavar="PATH", help="A file (0600) that holds a key; repeatable."),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read a key from standard input and keep it in a 0600 file.")
    ] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Let the keys cross a network unencrypted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Declare a provider in the configuration file, or give a declared one further keys.

    openai, anthropic, gemini, openrouter and groq are known; any other needs --base-url. A key is never
    an option's value: name the place where it is kept, or give it on standard input.
    """
    run = invocation(context)
    before = run.settings()
    _check_address(name, base_url, preset, before)
    references = _references(key_env or (), key_file or ())
    if base_url is not None and (references or stdin) and not allow_http:
        _check_encrypted(name, base_url, before)
    kept: Path | None = None
    if stdin:
        secret = _read_key()
        kept, is_new = _keep(run, name, secret)
        references.append(_file_reference(kept))
    try:
        settings = run.editor().add_provider(
            name, base_url=base_url, preset=preset, keys=references or None, allow_http=allow_http
        )
    except BaseException:
        if kept is not None and is_new:
            kept.unlink(missing_ok=True)
        raise
    provider = settings.providers[name]
    if as_json:
        print_json({"provider": _describe(provider), "file": settings.source})
    else:
        print_line(f"Provider {name}: {provider.base_url}, {_keys_in_words(provider)}.")
    _advise(run, before, settings, provider)


@command(app, "list", example="shareai provider list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the providers, and where their keys are kept."""
    settings = invocation(context).settings()
    if as_json:
        print_json(
            {
                "providers": [_describe(one) for one in settings.providers.values()],
                "discovered": settings.discovered,
            }
        )
        return
    if not settings.providers:
        note("No providers yet. shareai provider add openai --key-env OPENAI_API_KEY")
        return
    rows = [
        (one.name, one.base_url, " ".join(key.name for key in one.keys) or "-")
        for one in settings.providers.values()
    ]
    print_table(("NAME", "BASE URL", "KEYS"), rows)
    if settings.discovered:
        note(f"Found through {', '.join(settings.discovered)}; the configuration declares none.")


@command(app, "test", example="shareai provider test openai")
def test(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this provider.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask each provider's free call with each of its keys; costs nothing.

    Exits with 3 where no key can be had or there is no provider, 4 where every key is refused, 5 where no
    provider answers as it should, 6 where some work.
    """
    from shareai_cli.cli.provider_check import check_providers, exit_code

    run = invocation(context)
    settings = run.settings()
    chosen = [_find(settings, name)] if name is not None else list(settings.providers.values())
    if not chosen:
        raise ConfigurationError(
            "There are no providers to test.", hint="shareai provider add openai --key-env OPENAI_API_KEY"
        )
    results = check_providers(chosen, run.environ)
    if as_json:
        print_json({"results": results})
    else:
        rows = [
            (one.provider, one.key, one.verdict, "-" if one.models is None else one.models,
             "-" if one.milliseconds is None else f"{one.milliseconds} ms", one.detail)
            for one in results
        ]  # fmt: skip
        print_table(("NAME", "KEY", "RESULT", "MODELS", "TIME", ""), rows)
    raise typer.Exit(exit_code(results))


@command(app, "remove", example="shareai provider remove alpha")
def remove(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Take a provider out of the configuration file, and delete the keys kept for it.

    Keys in variables and in files of your own stay where they are.
    """
    run = invocation(context)
    before = run.settings()
    provider = before.providers.get(name)
    if provider is not None and before.discovered:
        variables = ", ".join(key.location for key in provider.keys)
        raise UsageError(
            f"The provider '{name}' is not in the configuration: it was found through {variables}.",
            hint=f"Unset {variables}, or declare another provider: then only what is declared is used.",
        )
    settings = run.editor().remove_provider(name)
    if provider is not None:
        _forget_kept(run, provider, settings)
    if as_json:
        print_json({"removed": name, "file": settings.source})
    else:
        print_line(f"Provider {name} is removed.")


def _check_address(name: str, base_url: str | None, preset: str | None, settings: Settings) -> None:
    """Refuse what cannot become a provider, in the command line's own words."""
    from shareai_cli.catalog.presets import PRESETS
    from shareai_cli.config.address import check_base_url
    from shareai_cli.config.reading import listed, shown, suggestion

    if preset is not None and preset not in PRESETS:
        raise UsageError(f"There is no preset {shown(preset)}.", hint=suggestion(preset, tuple(PRESETS)))
    if base_url is not None:
        try:
            check_base_url(base_url)
        except ConfigurationError as error:
            raise UsageError(f"--base-url {error.message}", hint=error.hint) from None
    elif preset is None and name not in PRESETS and name not in settings.providers:
        raise UsageError(
            f"{shown(name)} is not one of the known providers ({listed(PRESETS)}).",
            hint=f"{suggestion(name, tuple(PRESETS))} Any other needs --base-url.",
        )


def _check_encrypted(name: str, base_url: str, settings: Settings) -> None:
    from shareai_cli.config.address import check_base_url, is_loopback

    declared = settings.providers.get(name)
    _, host = check_base_url(base_url)
    if base_url.startswith("http://") and not is_loopback(host) and not (declared and declared.allow_http):
        raise UsageError(
            "--base-url: the keys would cross the network unencrypted.",
            hint="Use https://, or add --allow-http where that network is trusted.",
        )


def _references(variables: Sequence[str], files: Sequence[Path]) -> list[SecretReference]:
    from shareai_cli.paths import absolute
    from shareai_cli.secrets import parse_reference

    texts = [f"env:{variable}" for variable in variables]
    references = []
    for option, text in (
        *(("--key-env", text) for text in texts),
        *(("--key-file", f"file:{absolute(file)}") for file in files),
    ):
        try:
            references.append(parse_reference(text))
        except ConfigurationError as error:
            raise UsageError(f"{option}: {error.message}", hint=error.hint) from None
    return references


def _read_key() -> Secret:
    from shareai_cli.secrets import check_key_text

    if sys.stdin.isatty():
        import getpass

        text = getpass.getpass("Key (not shown): ")
    else:
        text = sys.stdin.read(_STDIN_LIMIT)
    secret = check_key_text(text)
    if secret is None:
        raise UsageError(
            "Standard input did not hold a key: one line of printable ASCII, without spaces.",
            hint="shareai provider add NAME --stdin < key-file",
        )
    return secret


def _keep(run: Invocation, name: str, secret: Secret) -> tuple[Path, bool]:
    """Keep a key in a file of its own; returns the file, and whether it was not there before."""
    from shareai_cli.config.provider import name_problem
    from shareai_cli.paths import make_private_folder
    from shareai_cli.secrets import write_private

    if name_problem(name) is not None:
        raise UsageError(f"A provider cannot have this name: {name_problem(name)}")
    file = make_private_folder(run.paths.secrets) / f"{name}-{secret.fingerprint}.key"
    is_new = not file.exists()
    try:
        write_private(file, f"{secret.reveal()}\n")
    except OSError as error:
        raise StateError(f"{file} cannot be written: {error.strerror}.") from None
    return file, is_new


def _file_reference(file: Path) -> SecretReference:
    from shareai_cli.secrets import SecretReference

    return SecretReference("file", str(file))


def _forget_kept(run: Invocation, provider: ProviderSettings, settings: Settings) -> None:
    """Delete the removed provider's kept keys that no other provider uses."""
    used = {key for one in settings.providers.values() for key in one.keys}
    for key in provider.keys:
        if key.kind == "file" and key not in used and Path(key.location).parent == run.paths.secrets:
            with suppress(OSError):
                Path(key.location).unlink()


def _advise(run: Invocation, before: Settings, settings: Settings, provider: ProviderSettings) -> None:
    from shareai_cli.secrets import resolve

    lost = [name for name in before.providers if name not in settings.providers]
    if lost:
        note(
            f"From now on only declared providers are used. To keep {lost[0]}: shareai provider add {lost[0]}"
        )
    for key in provider.keys:
        try:
            resolve(key, run.environ)
        except ConfigurationError as error:
            note(f"{error} The gateway needs it.")
    note(f"Next: shareai provider test {provider.name}")


def _find(settings: Settings, name: str) -> ProviderSettings:
    from shareai_cli.config.reading import shown, suggestion

    provider = settings.providers.get(name)
    if provider is None:
        raise UsageError(
            f"There is no provider {shown(name)}.", hint=suggestion(name, tuple(settings.providers))
        )
    return provider


def _describe(provider: ProviderSettings) -> dict[str, Any]:
    from shareai_cli.config.describe import describe_provider

    return {"name": provider.name, **describe_provider(provider)}


def _keys_in_words(provider: ProviderSettings) -> str:
    if not provider.keys:
        return "no key"
    return ("key " if len(provider.keys) == 1 else "keys ") + ", ".join(key.name for key in provider.keys)

"""`shareai provider add`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.asking import can_ask
from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.provider import proving
from shareai_cli.cli.provider.addresses import (
    address_in_environment,
    address_of,
    check_encrypted,
    check_not_itself,
)
from shareai_cli.cli.provider.describing import describe, kept_in_words, keys_in_words
from shareai_cli.cli.provider.keeping import keep_typed, key_store
from shareai_cli.cli.provider.sources import (
    KeyEnvOption,
    KeyFileOption,
    NoCheckOption,
    StdinOption,
    ask_key,
    read_key,
    references,
)
from shareai_cli.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.provider.check import Candidate, CheckResult
    from shareai_cli.config import ProviderSettings, Settings
    from shareai_cli.secrets import Secret, SecretReference

BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Where it is, if no preset knows.")
]


def add(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The provider's name.", autocompletion=known.presets)
    ],
    base_url: BaseUrlOption = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="PRESET",
            help="Fill in from this preset, under another name.",
            autocompletion=known.presets,
        ),
    ] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", metavar="NAME", help="azure: the resource's name.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="bedrock: the region.")
    ] = None,
    key_env: KeyEnvOption = None,
    key_file: KeyFileOption = None,
    stdin: StdinOption = False,
    no_check: NoCheckOption = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Let the keys cross a network unencrypted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Declare a provider, once its free call has accepted the key; or give a declared one further keys.

    At a terminal the key is asked for, and not shown. It is kept in the system's keyring where there is one
    that works, else in a file that only you can read. A key is never an option's value. 'shareai provider
    presets' lists the providers that are known; any other needs --base-url.
    """
    run = invocation(context)
    before = run.settings()
    address = address_of(name, base_url, preset, {"resource": resource, "region": region}, before)
    if address is None:
        address = address_in_environment(name, preset, before, run.environ)
    wanted = _Wanted(
        run,
        name,
        base_url=address,
        preset=preset,
        named=references(key_env, key_file),
        allow_http=allow_http,
    )
    if stdin:
        wanted.typed = read_key(run)
    provider = wanted.preview(before)
    check_not_itself(provider, before)
    results: Sequence[CheckResult] = ()
    if can_ask(run):
        results = _ask_for_key(wanted, provider, checks=not no_check)
        provider = wanted.preview(before)
    if not no_check:
        results = results or proving.ask(provider, wanted.candidates(provider), run.environ)
        proving.judge(provider, results, wanted.again)
    kept, settings = wanted.save()
    provider = settings.providers[name]
    if as_json:
        print_json({"provider": describe(provider), "checks": results, "file": settings.source})
    else:
        proving.say_found(provider, results)
        if kept is not None:
            print_line(f"The key is kept in {kept_in_words(kept)}.")
        print_line(f"Provider {name}: {provider.base_url}, {keys_in_words(provider, run.file)}.")
    _advise(run, before, settings, provider, is_checked=not no_check)


class _Wanted:
    """The provider that is to be declared, and the key that was typed for it."""

    def __init__(
        self,
        run: Invocation,
        name: str,
        *,
        base_url: str | None,
        preset: str | None,
        named: list[SecretReference],
        allow_http: bool,
    ) -> None:
        self.run = run
        self.name = name
        self.base_url = base_url
        self.preset = preset
        self.named = named
        self.allow_http = allow_http
        self.typed: Secret | None = None

    @property
    def has_keys(self) -> bool:
        """Whether the command line names or brings a key."""
        return bool(self.named) or self.typed is not None

    def preview(self, before: Settings) -> ProviderSettings:
        """Return the provider as it would be declared; raises what declaring it would raise."""
        declared = before.providers.get(self.name)
        is_allowed = self.allow_http or (declared is not None and declared.allow_http)
        if self.base_url is not None and self.has_keys and not is_allowed:
            check_encrypted(self.base_url)
        place = key_store(self.run).place(self.name, self.typed) if self.typed is not None else None
        return self.run.editor().preview_provider(self.name, **self._declared(place)).providers[self.name]

    def candidates(self, provider: ProviderSettings) -> list[Candidate]:
        """Return the keys that are to be shown to the provider: the new ones, else those that it has."""
        from shareai_cli.cli.provider.check import NO_KEY, Candidate, candidate

        places = self.named if self.has_keys else provider.keys
        found = [candidate(place, self.run.environ) for place in places]
        if self.typed is not None:
            found.append(Candidate(proving.GIVEN, self.typed))
        return found or [Candidate(NO_KEY, None)]

    def save(self) -> tuple[SecretReference | None, Settings]:
        """Keep the typed key and declare the provider; returns where the key is, and the settings."""
        with keep_typed(self.run, self.name, self.typed) as kept:
            return kept, self.run.editor().add_provider(self.name, **self._declared(kept))

    @property
    def again(self) -> str:
        """Return how this is asked for once more."""
        preset = f" --preset {self.preset}" if self.preset is not None else ""
        address = f" --base-url {self.base_url}" if self.base_url is not None else ""
        return f"shareai provider add {self.name}{preset}{address}"

    def _declared(self, kept: SecretReference | None) -> dict[str, Any]:
        from shareai_cli.catalog.presets import PRESETS

        keys = [*self.named, *([kept] if kept is not None else [])]
        preset = PRESETS.get(self.preset or self.name)
        is_elsewhere = (
            self.base_url is not None
            and preset is not None
            and preset.key_variables != ()
            and not preset.owns(self.base_url)
        )
        return {
            "base_url": self.base_url,
            "preset": self.preset,
            # A customary key does not go to another address than its own: there, none is none.
            "keys": keys if keys or is_elsewhere else None,
            "allow_http": self.allow_http,
        }


def _ask_for_key(wanted: _Wanted, provider: ProviderSettings, *, checks: bool) -> Sequence[CheckResult]:
    """Let a person type a key that is missing; raises `UsageError` where one is needed and none typed.

    Returns what an engine that wants no key answered without one.
    """
    from shareai_cli.catalog.presets import PRESETS

    if wanted.has_keys:
        return ()
    keys = wanted.candidates(provider)
    is_needed = keys[0].problem is not None
    if keys[0].secret is not None:
        return ()
    if not is_needed and proving.is_local(provider):
        # An engine on this machine rarely wants a key: it is asked before the person is.
        results = proving.ask(provider, keys, wanted.run.environ) if checks else []
        if not any(one.verdict == "refused" for one in results):
            return results
    page = PRESETS[provider.preset].key_page if provider.preset is not None else None
    if page is not None:
        note(f"Keys of {proving.title(provider)} are made at {page}")
    wanted.typed = ask_key(f"{proving.title(provider)} key{'' if is_needed else ', Enter for none'}")
    if wanted.typed is None and is_needed:
        raise UsageError(f"No key was typed. {proving.UNSAVED}")
    return ()


def _advise(
    run: Invocation, before: Settings, settings: Settings, provider: ProviderSettings, *, is_checked: bool
) -> None:
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
    note(f"Next: shareai route add chat {provider.name}/MODEL" if is_checked
         else f"Next: shareai provider test {provider.name}")  # fmt: skip

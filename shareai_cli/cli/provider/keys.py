"""`shareai provider key`: a provider's keys, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree, can_ask
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.provider import proving
from shareai_cli.cli.provider.describing import (
    NameArgument,
    OnlyArgument,
    describe,
    find,
    find_declared,
    place,
)
from shareai_cli.cli.provider.keeping import forget_unused, keep_typed, key_store
from shareai_cli.cli.provider.sources import (
    KeyEnvOption,
    KeyFileOption,
    NoCheckOption,
    StdinOption,
    ask_key,
    read_key,
    references,
)
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.provider.check import Candidate, CheckResult
    from shareai_cli.config import ProviderSettings
    from shareai_cli.secrets import Secret, SecretReference

app = new_app("A provider's keys, one by one.", example="shareai provider key list")

KeyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY",
        help="Which key, by place or fingerprint; needless where there is one.",
        autocompletion=known.provider_keys,
    ),
]


@command(app, "list", example="shareai provider key list openai")
def list_(
    context: typer.Context,
    name: OnlyArgument = None,
    as_json: JsonOption = False,
) -> None:
    """List the providers' keys: where each is kept, and the fingerprint that tells one from another."""
    from shareai_cli.cli.provider.check import candidate

    run = invocation(context)
    settings = run.settings()
    chosen = [find(settings, name)] if name is not None else list(settings.providers.values())
    found = [(one.name, candidate(key, run.environ)) for one in chosen for key in one.keys]
    if as_json:
        keys = [
            {"provider": provider, "key": key.name, "fingerprint": _fingerprint(key), "problem": key.problem}
            for provider, key in found
        ]
        print_json({"keys": keys})
    elif not found:
        note("No keys yet. shareai provider add openai")
    else:
        rows = [
            (provider, place(key.name, run.file), _fingerprint(key) or "-", key.problem or "")
            for provider, key in found
        ]
        print_table(("NAME", "KEY", "FINGERPRINT", ""), rows)


@command(app, "add", example="shareai provider key add openai")
def add(
    context: typer.Context,
    name: NameArgument,
    key_env: KeyEnvOption = None,
    key_file: KeyFileOption = None,
    stdin: StdinOption = False,
    no_check: NoCheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give a declared provider further keys, once it has accepted them.

    Requests go round them, and a key that is refused or rate-limited is left out for as long.
    """
    run = invocation(context)
    provider = find_declared(run.settings(), name)
    named = references(key_env, key_file)
    typed = _typed(run, provider, stdin=stdin, is_needed=not named)
    again = f"shareai provider key add {name}"
    results = [] if no_check else _prove(run, provider, named, typed, again)
    with keep_typed(run, name, typed) as kept:
        new = [*named, *([kept] if kept is not None else [])]
        settings = run.editor().add_provider(name, keys=new)
    if as_json:
        print_json({"provider": describe(settings.providers[name]), "checks": results})
        return
    proving.say_found(provider, results)
    print_line(f"{name} has {_counted(settings.providers[name])}; new: {', '.join(one.name for one in new)}.")


@command(app, "rotate", example="shareai provider key rotate openai")
def rotate(
    context: typer.Context,
    name: NameArgument,
    key: KeyArgument = None,
    key_env: KeyEnvOption = None,
    key_file: KeyFileOption = None,
    stdin: StdinOption = False,
    no_check: NoCheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a new key in an old one's place: the old one goes once the provider has accepted the new.

    What this program kept of the old one is deleted; the provider itself has to be told to revoke it.
    """
    run = invocation(context)
    provider = find_declared(run.settings(), name)
    former = _chosen(run, provider, key)
    named = references(key_env, key_file)
    if len(named) + stdin > 1:
        raise UsageError("One key takes another's place.", hint=f"shareai provider key add {name}")
    typed = _typed(run, provider, stdin=stdin, is_needed=not named)
    again = f"shareai provider key rotate {name}"
    results = [] if no_check else _prove(run, provider, named, typed, again)
    with keep_typed(run, name, typed) as kept:
        new = kept if kept is not None else named[0]
        settings = run.editor().replace_key(name, former, new)
    forget_unused(run, [former], settings)
    if as_json:
        print_json(
            {"provider": describe(settings.providers[name]), "former": former.name, "new": new.name,
             "checks": results}
        )  # fmt: skip
        return
    proving.say_found(provider, results)
    print_line(f"{new.name} is in the place of {former.name}.")


@command(app, "remove", example="shareai provider key remove openai env:OPENAI_API_KEY")
def remove(
    context: typer.Context,
    name: NameArgument,
    key: KeyArgument = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take one of a provider's keys away, and delete it where this program kept it. Asks first.

    Keys in variables and in files of your own stay where they are.
    """
    run = invocation(context)
    provider = find_declared(run.settings(), name)
    former = _chosen(run, provider, key)
    is_kept = key_store(run).keeps(former)
    agree(run, f"Remove {former.name} from {name}{', and delete it' if is_kept else ''}?", yes=yes)
    settings = run.editor().remove_key(name, former)
    forget_unused(run, [former], settings)
    if as_json:
        print_json({"provider": describe(settings.providers[name]), "removed": former.name})
    else:
        print_line(f"{former.name} is removed; {name} has {_counted(settings.providers[name])}.")


def _typed(run: Invocation, provider: ProviderSettings, *, stdin: bool, is_needed: bool) -> Secret | None:
    """Return the key that is piped or typed in; None where places were named instead."""
    if stdin:
        return read_key(run)
    if not is_needed:
        return None
    if not can_ask(run):
        raise UsageError(
            "There is no key: nobody can be asked here.", hint="--stdin < key-file, or --key-env VARIABLE"
        )
    typed = ask_key(f"New {proving.title(provider)} key")
    if typed is None:
        raise UsageError(f"No key was typed. {proving.UNSAVED}")
    return typed


def _prove(
    run: Invocation,
    provider: ProviderSettings,
    named: Sequence[SecretReference],
    typed: Secret | None,
    again: str,
) -> Sequence[CheckResult]:
    from shareai_cli.cli.provider.check import Candidate, candidate

    keys = [candidate(one, run.environ) for one in named]
    if typed is not None:
        keys.append(Candidate(proving.GIVEN, typed))
    return proving.prove(provider, keys, run.environ, again)


def _chosen(run: Invocation, provider: ProviderSettings, asked: str | None) -> SecretReference:
    """Return the key that a person means by its place, its fingerprint, or by there being one alone."""
    from shareai_cli.cli.provider.check import candidate
    from shareai_cli.config.reading import shown

    if asked is None and len(provider.keys) == 1:
        return provider.keys[0]
    listed = f"shareai provider key list {provider.name}"
    if not provider.keys:
        raise UsageError(f"{provider.name} has no key.", hint=f"shareai provider key add {provider.name}")
    if asked is None:
        raise UsageError(f"{provider.name} has {len(provider.keys)} keys: say which.", hint=listed)
    for key in provider.keys:
        if asked in (key.name, place(key.name, run.file), _fingerprint(candidate(key, run.environ))):
            return key
    raise UsageError(f"{provider.name} has no key {shown(asked)}.", hint=listed)


def _fingerprint(key: Candidate) -> str | None:
    return key.secret.fingerprint if key.secret is not None else None


def _counted(provider: ProviderSettings) -> str:
    return f"{len(provider.keys)} key{'s' if len(provider.keys) != 1 else ''}"

"""What `shareai serve` shows when it is ready: where it serves, the key, a line to try, and the next step."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING

from shareai_cli.cli.program import program
from shareai_cli.node.models import INSTALL_HINT
from shareai_cli.types import NODE

if TYPE_CHECKING:
    from shareai_cli.config import Settings
    from shareai_cli.gateway.process import Ready


def banner(told: Ready, llama: bool, broken: Collection[str] = ()) -> list[str]:
    """Return the lines; `llama` tells whether llama.cpp is there, `broken` which models cannot be read."""
    lines = [f"ShareAI serves at  {told.base_url}"]
    if told.first_key is not None:
        lines.append(f"Your key           {told.first_key.reveal()}")
        lines.append(
            f"                   Keep it: it is not shown again. '{program()} key create NAME' makes more."
        )
    elif told.first_key_file is not None:
        lines.append(f"Your key           is in {told.first_key_file}")
    lines += _what_is_served(told, llama)
    example = _example(told, broken)
    if example is not None:
        lines += ["\nTry it:\n", example]
    return [*lines, f"\n{_next_step(told, llama)}\n"]


def _what_is_served(told: Ready, llama: bool) -> list[str]:
    settings = told.settings
    lines = []
    if settings.discovered:
        found = ", ".join(settings.discovered)
        lines.append(f"Providers          {', '.join(settings.providers)}  (found through {found})")
    elif settings.providers:
        lines.append(f"Providers          {', '.join(settings.providers)}")
    if settings.routes:
        lines.append(f"Routes             {', '.join(settings.routes)}")
    if told.models:
        names = ", ".join(model.id for model in told.models)
        demo = "  (the built-in demo model)" if settings.is_empty else ""
        lines.append(f"Local models       {names}{demo}")
    if told.models and not llama:
        lines.append(f"                   They need llama.cpp: {INSTALL_HINT}")
    if not told.models and settings.is_empty:
        lines.append("Nothing to serve   no provider and no model is configured.")
    return lines


def _example(told: Ready, broken: Collection[str]) -> str | None:
    """Return a line for a shell that gets an answer, as far as that can be known."""
    model = _example_model(told, broken)
    head = f'-H "Authorization: Bearer {_key(told)}"'
    if model is not None:
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
        return (
            f"curl {told.base_url}/chat/completions {head}"
            f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
        )
    return f"curl {told.base_url}/models {head}" if told.settings.providers else None


def _example_model(told: Ready, broken: Collection[str]) -> str | None:
    settings: Settings = told.settings
    for route in settings.routes.values():
        if any(one.target.provider != NODE or one.target.model not in broken for one in route.targets):
            return route.name
    return next((model.id for model in told.models if model.id not in broken), None)


def _key(told: Ready) -> str:
    """Return the key as it stands between double quotes in a shell."""
    if told.first_key is not None:
        return told.first_key.reveal()
    if told.first_key_file is not None:
        return f"$(cat {shlex.quote(str(told.first_key_file))})"
    return "$SHAREAI_KEY"


def _next_step(told: Ready, llama: bool) -> str:
    settings, shareai = told.settings, program()
    if not settings.providers and not settings.local.models:
        if not llama:
            return (
                f"Next: {shareai} init   finds your keys and engines.\n      For local models: {INSTALL_HINT}"
            )
        return (
            f"Next: {shareai} chat   talks to it, in another terminal."
            f"\n      {shareai} init   finds your keys, engines and models."
        )
    if not settings.routes and settings.providers:
        provider = next(iter(settings.providers))
        return f"Next: {shareai} route add chat {provider}/MODEL   (see {shareai} models)"
    return f"Next: {shareai} chat, {shareai} status, {shareai} usage --by model"

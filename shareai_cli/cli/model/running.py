"""`shareai model run`: talk to a model of this machine, whoever keeps its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.model.naming import target
from shareai_cli.errors import ModelUnavailable, UsageError

if TYPE_CHECKING:
    from shareai_cli.types import LocalModel


def run_(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A model that is served, a GGUF file, or a model that another program keeps here.",
            autocompletion=known.local_models,
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION", help="A single question; else a conversation."),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="NUMBER", min=1, help="Tokens of an answer at most.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="NUMBER", min=0.0, max=2.0, help="From 0 to 2.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Talk to a model of this machine, as 'shareai chat' does; declare it first where it is not.

    Its file stays where it is. Where no gateway runs, one is started for as long as the chat lasts.
    """
    from shareai_cli.cli.chat.access import open_access
    from shareai_cli.cli.chat.command import check_question, converse, with_standard_input
    from shareai_cli.cli.chat.conversation import Options

    run = invocation(context)
    question = with_standard_input(" ".join(words) if words else None)
    check_question(run, question, as_json=as_json)
    model = _declared(run, name.removeprefix(target("")))
    access = open_access(run, None, None, allow_http=False)
    converse(
        run, access, [target(model.id)], question, Options(max_tokens, temperature), system, as_json=as_json
    )


def _declared(run: Invocation, name: str) -> LocalModel:
    """Return a model that is served, or will be in a moment; raises `ShareAIError`."""
    from shareai_cli.catalog.gguf import check_servable
    from shareai_cli.cli.local_models import await_taken_up, declare, find, record
    from shareai_cli.gateway.fleet import local_models
    from shareai_cli.node.models import INSTALL_HINT, has_llama
    from shareai_cli.paths import absolute

    if not has_llama():
        raise ModelUnavailable("llama.cpp, which runs models, is not installed here.", hint=INSTALL_HINT)
    for model in local_models(run.settings(), has_llama=True):
        if model.id == name:
            return model
    wish = find(run, name)
    if "embeddings" in check_servable(absolute(wish.path)).abilities:
        raise UsageError(f"{wish.path} makes embeddings, and answers no chat.")
    [declared], settings = declare(run, [wish])
    if declared.is_new:
        record(run, settings)
        note(
            f"Model {target(declared.model.id)} is added; shareai model remove {declared.model.id} undoes it."
        )
        await_taken_up(run, declared.model.id, served=True)
    return declared.model

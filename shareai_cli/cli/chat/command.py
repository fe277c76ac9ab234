"""The command line of `shareai chat`: a conversation at a terminal, or one question with its answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import print_json
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.chat.access import Access
    from shareai_cli.cli.chat.answer import Answer
    from shareai_cli.cli.chat.conversation import Options, Voice
    from shareai_cli.cli.chat.show import Show
    from shareai_cli.secrets import Secret

app = new_app()

MOST_COMPARED: Final = 3

PROMPT_CHARACTERS: Final = 16 << 20
"""What is read from standard input at most; a gateway takes requests of some more bytes."""

KEY_BYTES: Final = 1 << 16


@command(app, "chat", example='shareai chat shareai-demo "Hello!"')
def chat(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="What to talk to.", autocompletion=known.models),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION", help="A single question; else a conversation.", autocompletion=known.models
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help='Two or three models side by side: --compare A B "QUESTION"'),
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", "-p", metavar="TEXT", help="The question, without naming a model."),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="NUMBER", min=1, help="Tokens of an answer at most.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="NUMBER", min=0.0, max=2.0, help="From 0 to 2.")
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            "--gateway", metavar="URL", help="Another machine's gateway, with a key in SHAREAI_KEY."
        ),
    ] = None,
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the gateway's key from standard input.")
    ] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Let the key cross a network unencrypted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Talk to a model, or have one question answered.

    Where no gateway runs, one is started for as long as the chat lasts. Without MODEL the first route
    answers, else the first local model: shareai chat "Why is it so?". What comes on standard input is added
    to the question.

    With a question, only the answer is written to standard output, its control characters taken out
    (--json has them). Exits with 2 where the model is not known, 4 where the key is refused, 5 where no
    answer can be had, 6 where only some of several models answer.
    """
    from shareai_cli.cli.chat.access import open_access
    from shareai_cli.cli.chat.conversation import Options

    run = invocation(context)
    models, question = split_words(
        [*([] if model is None else [model]), *(more or ())], compare=compare, prompt=prompt
    )
    key = _read_key(question) if key_stdin else None
    if not key_stdin:
        question = with_standard_input(question)
    check_question(run, question, as_json=as_json)
    access = open_access(run, gateway, key, allow_http=allow_http)
    options = Options(max_tokens, temperature)
    converse(run, access, models, question, options, system, compares=compare, as_json=as_json)


def check_question(run: Invocation, question: str | None, *, as_json: bool) -> None:
    """Raise `UsageError` where there is neither a question nor a terminal for a conversation."""
    if question is None and (as_json or not sys.stdout.isatty()):
        raise UsageError(
            "There is no question.",
            hint=f'{run.command} MODEL "QUESTION", or on standard input.',
        )


def converse(
    run: Invocation,
    access: Access,
    models: list[str],
    question: str | None,
    options: Options,
    system: str | None,
    *,
    compares: bool = False,
    as_json: bool = False,
) -> None:
    """Ask models one question, or have a conversation at the terminal where there is none.

    The access is closed at the end. Raises what the one answer came to.
    """
    from shareai_cli.cli.chat.facts import as_fields

    with closing(access), _opened_show(access, talks=question is None, compares=compares) as show:
        if question is None:
            _talk(run, access, show, models, options, system)
            return
        voices = _voices(models or [_default_model(access, show)], options, system)
        for voice in voices:
            voice.conversation.ask(question)
        if as_json:
            show.collect(voices)
        else:
            show.ask(voices)
    answers = [voice.answer for voice in voices]
    if as_json:
        fields = [as_fields(answer) for answer in answers]
        print_json({"answers": fields} if compares else fields[0])
    _end(answers)


def split_words(words: Sequence[str], *, compare: bool, prompt: str | None) -> tuple[list[str], str | None]:
    """Tell the models from the question, which nobody needs to put in quotes; raises `UsageError`.

    Among models to compare, a last word with spaces in it is the question. A lone word is one where no
    model could be called so: it has spaces, or ends as a sentence does.
    """
    models, question = list(words), prompt
    if len(models) == 1 and prompt is None and not compare and _is_sentence(models[0]):
        return [], models[0]
    if compare:
        if prompt is None and models and any(map(str.isspace, models[-1])):
            question = models.pop()
        if not 2 <= len(models) <= MOST_COMPARED:
            raise UsageError(
                f"--compare takes two or three models, and there are {len(models)}.",
                hint='shareai chat --compare MODEL MODEL "QUESTION" (one of a single word: --prompt WORD).',
            )
    elif len(models) > 1:
        if prompt is not None:
            raise UsageError("--prompt and a QUESTION exclude each other.")
        models, question = models[:1], " ".join(models[1:])
    if not all(map(str.strip, models)):
        raise UsageError("The name of a model is empty.")
    if question is not None and not question.strip():
        raise UsageError("The question is empty.")
    return models, question


def _is_sentence(text: str) -> bool:
    return bool(text.strip()) and (any(map(str.isspace, text)) or text.endswith(("!", "?", ".")))


def _talk(
    run: Invocation, access: Access, show: Show, models: list[str], options: Options, system: str | None
) -> None:
    """Have a conversation at the terminal."""
    from shareai_cli.cli.chat.lines import LineReader
    from shareai_cli.cli.chat.session import Session, ask_for_model

    reader = LineReader(run.paths.chat_history_file, is_plain=show.console is None)
    for model in models:
        _check_model(show, model)
    if not models:
        try:
            models = [access.default_model() or ask_for_model(show, reader)]
        except EOFError:
            return
    where = f"{access.base_url}, started for this chat" if access.is_temporary else access.base_url
    show.tell(f"{' and '.join(models)}  ({where})")
    show.tell("/help lists the commands, Ctrl-D ends the chat.")
    Session(show, _voices(models, options, system), reader).run()


def _check_model(show: Show, model: str) -> None:
    try:
        show.check_model(model)
    except UsageError as error:
        hint = 'A question without a model: shareai chat --prompt "QUESTION"'
        raise UsageError(error.message, hint=hint) from None


def _default_model(access: Access, show: Show) -> str:
    from shareai_cli.cli.chat.session import nothing_to_ask

    known = access.default_model()
    if known is not None:
        return known
    names = show.models()
    if not names:
        raise nothing_to_ask()
    if len(names) > 1:
        raise UsageError(
            f"Which model? There are {len(names)}, such as {', '.join(names[:5])}.",
            hint='shareai chat MODEL "QUESTION"',
        )
    return names[0]


def _voices(models: Sequence[str], options: Options, system: str | None) -> list[Voice]:
    from shareai_cli.cli.chat.conversation import Conversation, Voice

    return [Voice(model, Conversation(options, system)) for model in models]


@contextmanager
def _opened_show(access: Access, *, talks: bool, compares: bool) -> Iterator[Show]:
    """Yield what asks and shows; about one answer alone facts are for people only, and errors are raised."""
    import asyncio

    from shareai_cli.cli.chat.show import Show

    facts = sys.stdout if talks else sys.stderr if sys.stderr.isatty() else None
    with (
        asyncio.Runner() as runner,
        closing(Show(access, runner, facts=facts, tells_errors=talks or compares)) as show,
    ):
        yield show


def _end(answers: Sequence[Answer]) -> None:
    """End the command as its answers did."""
    if any(answer.is_stopped for answer in answers):
        raise KeyboardInterrupt
    errors = [answer.error for answer in answers if answer.error is not None]
    if errors and len(answers) == 1:
        raise errors[0]
    if errors:
        raise typer.Exit(errors[0].exit_code if len(errors) == len(answers) else ExitCode.PARTLY)


def _read_key(question: str | None) -> Secret:
    from shareai_cli.secrets import check_key_text

    if sys.stdin.isatty():
        import getpass

        text = getpass.getpass("Key of the gateway (not shown): ")
    elif question is None:
        raise UsageError(
            "Standard input holds the key, so the question has to stand in the command.",
            hint='shareai chat --key-stdin MODEL "QUESTION" < key-file',
        )
    else:
        text = sys.stdin.read(KEY_BYTES)
    secret = check_key_text(text)
    if secret is None:
        raise UsageError("Standard input did not hold a key: one line of printable ASCII, without spaces.")
    return secret


def with_standard_input(question: str | None) -> str | None:
    """Return the question with what standard input holds below it; None where there is neither."""
    if sys.stdin.isatty():
        return question
    try:
        text = sys.stdin.read(PROMPT_CHARACTERS + 1).strip()
        text.encode()
    except UnicodeError:
        raise UsageError("Standard input is not text in UTF-8.") from None
    if len(text) > PROMPT_CHARACTERS:
        raise UsageError(f"Standard input is longer than {PROMPT_CHARACTERS} characters.")
    return "\n\n".join(part for part in (question, text) if part) or None

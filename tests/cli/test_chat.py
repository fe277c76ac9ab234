"""The parts of `shareai chat`: what is typed, what is shown, what an answer is made of."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shareai_cli.cli.chat.access import open_access
from shareai_cli.cli.chat.answer import Answer, Tokens
from shareai_cli.cli.chat.columns import ColumnsScreen
from shareai_cli.cli.chat.command import split_words
from shareai_cli.cli.chat.conversation import Conversation, Options
from shareai_cli.cli.chat.events import MOST_CHARACTERS, refused, take_event
from shareai_cli.cli.chat.facts import facts_line
from shareai_cli.cli.chat.key import new_key, own_key
from shareai_cli.cli.chat.markdown import MOST_DRAWN, GrowingMarkdown
from shareai_cli.cli.chat.screen import MarkdownScreen, least_width
from shareai_cli.cli.chat.text import harmless
from shareai_cli.cli.invocation import Invocation
from shareai_cli.cli.state import open_admin
from shareai_cli.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ExitCode,
    MalformedReply,
    UpstreamError,
    UsageError,
)
from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret
from shareai_cli.types import Attempt, CostBasis, Outcome, RequestRow, Usage
from tests.support.clock import FakeClock
from tests.support.commands import shareai
from tests.support.screen import Emulator

DOCUMENT = """\
# Title

A paragraph
of two lines, with **bold** and `code`.

- one
- two

1. first
2. second

```python
print("a")

print("b")
```

| a | b |
| - | - |
| 1 | 2 |

> quoted

The end."""


# -- what is typed


@pytest.mark.parametrize(
    ("words", "compare", "models", "question"),
    [
        ([], False, [], None),
        (["m"], False, ["m"], None),
        (["Hello!"], False, [], "Hello!"),
        (["Why is it so"], False, [], "Why is it so"),
        (["m", "Why?"], False, ["m"], "Why?"),
        (["m", "why", "is", "it", "so"], False, ["m"], "why is it so"),
        (["a", "b"], True, ["a", "b"], None),
        (["a", "b", "c"], True, ["a", "b", "c"], None),
        (["a", "b", "say hi"], True, ["a", "b"], "say hi"),
        (["a", "b", "c", "say hi"], True, ["a", "b", "c"], "say hi"),
    ],
)
def test_models_are_told_from_the_question(
    words: list[str], compare: bool, models: list[str], question: str | None
) -> None:
    """Quotes are not needed for one model; among several, and alone, the question is what can be no name."""
    assert split_words(words, compare=compare, prompt=None) == (models, question)


@pytest.mark.parametrize(
    ("words", "compare", "prompt"),
    [
        (["a"], True, None),
        (["a", "b", "c", "d"], True, None),
        (["a", "say hi"], True, None),
        (["m", "one"], False, "two"),
        (["m", " "], False, None),
        (["", "Why?"], False, None),
    ],
)
def test_what_cannot_be_told_apart_is_refused(words: list[str], compare: bool, prompt: str | None) -> None:
    """As any other mistake in a command line."""
    with pytest.raises(UsageError):
        split_words(words, compare=compare, prompt=prompt)


def test_without_a_terminal_a_question_is_needed() -> None:
    """Nothing is started before that is said."""
    outcome = shareai("chat", "some-model")
    assert (outcome.code, outcome.out) == (2, "")
    assert "There is no question." in outcome.err


# -- which gateway, which key


def invocation(paths: Paths, **variables: str) -> Invocation:
    assert paths.home is not None
    return Invocation({"SHAREAI_HOME": str(paths.home), **variables})


def test_another_machines_gateway_wants_a_key_of_its_own(paths: Paths) -> None:
    """Chat's key of this machine's gateway never goes elsewhere; a variable's or a typed one does."""
    url = "https://gateway.example"
    with pytest.raises(AuthenticationFailed, match="SHAREAI_KEY"):
        open_access(invocation(paths), url, None, allow_http=False)
    access = open_access(invocation(paths, SHAREAI_KEY="sk-shareai-a"), url, None, allow_http=False)
    assert (access.base_url, access.key.reveal()) == ("https://gateway.example/v1", "sk-shareai-a")
    typed = open_access(invocation(paths, SHAREAI_KEY="sk-a"), f"{url}/v1/", Secret("sk-b"), allow_http=False)
    assert (typed.base_url, typed.key.reveal()) == ("https://gateway.example/v1", "sk-b")
    assert not paths.state.exists()


def test_a_key_does_not_cross_a_network_unencrypted(paths: Paths) -> None:
    """Unless that is asked for; a loopback is no network."""
    run, key = invocation(paths), Secret("sk-a")
    with pytest.raises(UsageError, match="--allow-http"):
        open_access(run, "http://192.0.2.1:6161", key, allow_http=False)
    assert open_access(run, "http://192.0.2.1:6161", key, allow_http=True).base_url.startswith("http://")
    assert open_access(run, "http://localhost:1/v1", key, allow_http=False).base_url.endswith(":1/v1")


def test_chats_own_key_is_made_once_and_private(paths: Paths) -> None:
    """It stands under a name of its own in the accounts; a name that is taken is not taken away."""
    with open_admin(paths) as admin:
        admin.create_key("chat")
        key = own_key(paths, admin)
        assert own_key(paths, admin) == key
        assert [one.name for one in admin.list_keys()] == ["chat", "chat-2"]
        assert paths.chat_key_file.read_text() == f"{key.reveal()}\n"
        if os.name == "posix":
            assert stat.S_IMODE(paths.chat_key_file.stat().st_mode) == 0o600
        assert new_key(paths, admin) != key
        assert own_key(paths, admin) != key


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_key_file_that_others_can_read_is_not_used(paths: Paths) -> None:
    """It says how to mend that."""
    with open_admin(paths) as admin:
        own_key(paths, admin)
        paths.chat_key_file.chmod(0o644)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            own_key(paths, admin)


# -- an answer


def answer(clock: FakeClock | None = None) -> Answer:
    return Answer("m", clock or FakeClock())


def event(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def delta(**fields: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def test_an_answer_takes_in_its_events() -> None:
    """Text, the reason of the end, tokens; reasoning is no text, and comments are none either."""
    clock, pieces = FakeClock(), list[str]()
    one = answer(clock)
    one.show_on(pieces.append)
    clock.forward(1)
    assert not take_event(one, delta(role="assistant", content=""))
    assert not take_event(one, delta(reasoning_content="hm"))
    assert (one.is_thinking, one.first_token_seconds) == (True, None)
    clock.forward(1)
    for given_event in (delta(content="Hel"), b": keep-alive\n\n", delta(content="lo")):
        assert not take_event(one, given_event)
    assert not take_event(one, event({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    assert not take_event(
        one, event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "x": 1}})
    )
    assert take_event(one, event(b"[DONE]"))
    assert (pieces[1:], one.text, one.finish_reason) == (["Hel", "lo"], "Hello", "stop")
    assert (one.tokens, one.first_token_seconds, one.is_thinking) == (Tokens(3, 2), 2.0, False)


def test_the_target_may_be_told_in_a_comment() -> None:
    """Where keep-alive comments began the stream before it was known."""
    one = answer()
    take_event(one, b": x-shareai-target: alpha/m1 x-shareai-attempts: 2\n\n")
    assert (one.target, one.attempts) == ("alpha/m1", 2)


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b'{"choices": 1}', b"\xff", b'{"choices": [{"delta": {"content": 5}}]}', b"[" * 9999],
)
def test_an_event_that_makes_no_sense_is_an_upstreams_failure(data: bytes) -> None:
    """It is said so, and nothing worse happens."""
    with pytest.raises(MalformedReply):
        take_event(answer(), event(data))


def test_an_answer_has_a_longest_length() -> None:
    """Whoever sends one is not trusted to end it."""
    one = answer()
    one.characters = MOST_CHARACTERS
    with pytest.raises(MalformedReply, match="longer"):
        take_event(one, delta(content="x"))


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (401, {"code": "invalid_api_key"}, ExitCode.AUTHENTICATION),
        (403, None, ExitCode.AUTHENTICATION),
        (404, {"code": "model_not_found"}, ExitCode.USAGE),
        (429, {"code": "rate_limit_exceeded"}, ExitCode.UPSTREAM),
        (503, {"code": "no_target_available"}, ExitCode.UPSTREAM),
        (503, {"code": "overloaded"}, ExitCode.FAILURE),
        (502, None, ExitCode.UPSTREAM),
        (400, {"code": None}, ExitCode.FAILURE),
    ],
)
def test_a_refusal_has_the_exit_code_of_what_failed(status: int, told: object, code: ExitCode) -> None:
    """By its code where that is the gateway's, else by its status; whatever the body is."""
    body = json.dumps({"error": told if told is None else {"message": "No.", **dict(told)}})  # type: ignore[call-overload]
    error = refused(status, body.encode())
    assert error.exit_code == code
    assert error.message == ("No." if told else f"The gateway answered with HTTP {status}.")
    assert refused(status, b"<html>").message == f"The gateway answered with HTTP {status}."


def test_an_error_event_ends_the_answer_with_its_message() -> None:
    """In whichever of the usual forms."""
    for error in ({"message": "It broke.", "code": 7}, "It broke."):
        with pytest.raises(UpstreamError, match=r"It broke\."):
            take_event(answer(), event({"error": error}))


def row(cost: int | None, basis: CostBasis, *, estimated: bool = False) -> RequestRow:
    return RequestRow(
        "req_1", 0, "chat", "default", "m", "a/m", "", 200, True, Outcome.OK, "",
        (Attempt("a/m", "", "ok", 200, 1),),
        Usage(3, 4, 0, 5, 6), estimated, cost, basis, 1, 1, 1, 1, b"",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        (None, "a/m"),
        (row(1_230_000, CostBasis.EXACT), "a/m · 7 + 11 tokens · $0.00123 (exact)"),
        (row(0, CostBasis.EXACT), "a/m · 7 + 11 tokens · free"),
        (
            row(2_500_000_000, CostBasis.ESTIMATED, estimated=True),
            "a/m · about 7 + 11 tokens · about $2.5000 (estimated)",
        ),
        (row(None, CostBasis.UNKNOWN), "a/m · 7 + 11 tokens · cost unknown"),
    ],
)
def test_facts_say_how_exact_a_cost_is(account: RequestRow | None, shown: str) -> None:
    """Never a silent zero; without the accounts nothing is said."""
    one = answer()
    one.target, one.account = "a/m", account
    assert facts_line(one) == shown


def test_facts_are_times_tokens_and_how_it_ended() -> None:
    """The stream's own count comes before the accounts'; names cannot steer the terminal."""
    clock = FakeClock()
    one = answer(clock)
    one.target, one.tokens, one.attempts = "a/\x1b[2Jm", Tokens(1200, 34), 3
    clock.forward(0.25)
    one.add("x")
    clock.forward(12)
    one.end()
    one.finish_reason = "length"
    assert facts_line(one) == (
        "a/�[2Jm · 0.25 s to the first token · 12 s in all · 1,200 + 34 tokens · 3 attempts"
        " · cut off at the token limit"
    )
    one.is_stopped = True
    assert facts_line(one).endswith(" · stopped")


# -- a conversation


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in conversation.body("m")["messages"]]


def test_a_conversation_goes_along_with_each_question() -> None:
    """What got no answer is no part of it; asking again takes the former answer back."""
    one = Conversation(Options())
    one.ask("1")
    one.answer("one")
    one.ask("2")
    one.answer("")
    one.ask("3")
    assert said(one) == [("user", "1"), ("assistant", "one"), ("user", "3")]
    one.answer("three")
    one.take_back()
    one.take_back()
    assert said(one) == [("user", "1"), ("assistant", "one"), ("user", "3")]
    one.system = "Be brief."
    one.clear()
    one.ask("4")
    assert said(one) == [("system", "Be brief."), ("user", "4")]


def test_only_options_that_are_set_are_sent() -> None:
    """A model's own defaults stay in force."""
    body = Conversation(Options()).body("m")
    assert {"max_tokens", "temperature"}.isdisjoint(body)
    body = Conversation(Options(max_tokens=5, temperature=0.0)).body("m")
    assert (body["max_tokens"], body["temperature"], body["stream"]) == (5, 0.0, True)


# -- what is shown


def console(width: int = 60, height: int = 12) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=width, height=height, force_terminal=True, highlight=False), file


def grown(pieces: Sequence[str], width: int = 60) -> list[str]:
    """Return the lines that text comes to when it is drawn after every piece."""
    text = GrowingMarkdown(console(width)[0])
    lines = []
    for piece in pieces:
        text.add(piece)
        lines += text.take_finished(width)
        text.growing_lines(width)
    lines += text.take_finished(width, is_last=True)
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize("size", [1, 7, 40])
def test_markdown_comes_to_the_same_however_it_grows(size: int) -> None:
    """Blocks are handed out one by one, and separated as if all had been there at once."""
    pieces = [DOCUMENT[start : start + size] for start in range(0, len(DOCUMENT), size)]
    whole = grown([DOCUMENT])
    assert grown(pieces) == whole
    text = "\n".join(whole)
    assert "A paragraph\nof two lines, with bold and code." in text
    assert 'print("a")\n\nprint("b")' in text
    assert "\n\n\n\n" not in text


def test_finished_blocks_are_not_held_back() -> None:
    """They scroll away as any text does; what still grows is all that is rendered again."""
    text = GrowingMarkdown(console()[0])
    text.add("One.\n\nTwo.\n\nThr")
    assert len(text.take_finished(60)) == 3
    assert len(text.growing_lines(60)) == 2
    text.add("x" * (3 * MOST_DRAWN))
    text.take_finished(60)
    assert sum(len(segment.text) for line in text.growing_lines(60) for segment in line) <= MOST_DRAWN


@pytest.mark.parametrize(
    "text",
    ["a\x1b]0;evil\x07b", "a\x9b2Jb", "&#27;[2J", "`&#x1b;`\x1b", "[x](http://a/&#27;]8;;b)",
     "&#x202e;x\u202ex", "```\n\x1b[2J\n```", "```&#27;[2J\nx\n```", "# &#155;2J"],
)  # fmt: skip
def test_no_answer_can_steer_the_terminal(text: str) -> None:
    """Neither with control characters nor by naming them as Markdown can."""
    shown = "".join(grown([text]))
    assert all(character.isprintable() for character in shown), shown
    assert "\x1b" not in harmless(text)


def test_what_looks_like_a_tag_is_shown() -> None:
    """A model that writes about types is to be read."""
    assert grown(["Use List<T> and </kbd>.\n\n<div>x</div>"]) == [
        "Use List<T> and </kbd>.",
        "",
        "<div>x</div>",
    ]


def test_emoji_and_scripts_stay_whole() -> None:
    """What joins characters is no control character."""
    for text in ("👨‍👩‍👧", "न्‍", "a\u00a0b", "a\tb\n"):
        assert harmless(text) == text


MARKS = ["\n\n", "\n", "```", "- ", "1. ", "> ", "| a | b |\n|-|-|\n", "</kbd>", "[a](b)", "![a](b)", "~~",
         "**", "# ", "---\n"]  # fmt: skip


@given(st.lists(st.text(max_size=20) | st.sampled_from(MARKS), max_size=12))
def test_any_text_can_be_shown(pieces: list[str]) -> None:
    """None is a failure, and none gets a control character through."""
    for line in grown(pieces, 20):
        assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in line)


def test_an_answer_longer_than_the_screen_scrolls_and_stands_there_once() -> None:
    """While it grows its end is drawn, no further than the terminal reaches; then the whole replaces that."""
    target, file = console(width=40, height=8)
    long = " ".join(str(number) for number in range(200))
    with MarkdownScreen(target, answer()) as screen:
        for piece in ("First.\n\n", long[:400], long[400:], "\n\nLast."):
            screen.add(piece)
            screen.draw()
            if piece == long[:400]:
                assert long[380:400].split()[1] in file.getvalue()
    emulator = Emulator(40, 8)
    emulator.feed(file.getvalue())
    assert emulator.lines() == grown([f"First.\n\n{long}\n\nLast."], 40)


def test_until_something_comes_the_screen_says_that_it_waits() -> None:
    """With the seconds; nothing of it stays."""
    target, file = console()
    clock = FakeClock()
    one = answer(clock)
    with MarkdownScreen(target, one) as screen:
        screen.draw()
        clock.forward(3)
        screen.draw()
        one.think()
        screen.draw()
        screen.add("Hello.")
    emulator = Emulator(60, 12)
    emulator.feed(file.getvalue())
    assert "... 3 s" in file.getvalue()
    assert "thinking 3 s" in file.getvalue()
    assert emulator.lines() == ["Hello."]


def test_columns_stand_side_by_side() -> None:
    """Their ends while they grow, all of them in the end, with what is told of each below."""
    target, file = console(width=80, height=8)
    answers = [Answer("model-a", FakeClock()), Answer("model-b", FakeClock())]
    screen = ColumnsScreen(target, answers)
    with screen:
        for number in range(30):
            answers[0].add(f"{number}\n\n")
            screen.draw()
        answers[1].add("Short.")
        screen.draw()
    screen.print_whole([["facts of a"], ["facts of b", "It broke."]])
    emulator = Emulator(80, 8)
    emulator.feed(file.getvalue())
    lines = emulator.lines()
    assert lines[0].split() == ["model-a", "│", "model-b"]
    assert lines[1].split() == ["0", "│", "Short."]
    assert [line.partition("│")[0].strip() for line in lines[1:60:2]] == [str(number) for number in range(30)]
    assert lines[-2].split("│")[1].strip() == "facts of b"
    assert lines[-1].split("│")[1].strip() == "It broke."
    assert all(line[39] == "│" for line in lines[:60])


def test_columns_need_room() -> None:
    """In a narrow terminal answers stand one below the other."""
    assert least_width(2) <= 80 < least_width(3)

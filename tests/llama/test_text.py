from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.llama.text import Call, ReplyText, ToolCallReader

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def read(text: ReplyText, *pieces: bytes) -> str:
    return "".join([text.feed(piece) for piece in pieces] + [text.finish()])


@given(st.text(), st.integers(1, 4))
def test_characters_cut_anywhere_come_out_whole(text: str, size: int) -> None:
    """Tokens may hold parts of a character; the client gets whole ones, and all of them."""
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert read(ReplyText(), *pieces) == text


def test_a_stop_string_over_several_pieces_ends_the_text_before_it() -> None:
    """The stop string itself, and what follows it, never reach the client."""
    text = ReplyText(["END", "!!"])
    assert read(text, b"one E", b"N", b"D two", b"!!") == "one "
    assert text.stopped


def test_the_start_of_a_stop_string_that_goes_on_otherwise_is_given_back() -> None:
    """What was held back as a possible stop comes out once it is none."""
    text = ReplyText(["END"])
    assert text.feed(b"the E") == "the "
    assert text.feed(b"NGINE") == "ENGIN"
    assert text.finish() == "E"
    assert not text.stopped


@given(st.integers(1, 9))
def test_a_tool_call_is_found_wherever_it_is_cut(size: int) -> None:
    """Text before and after a call stays text; the call comes once, its arguments as JSON."""
    reader = ToolCallReader()
    whole = f"Let me see. {CALL}\nDone <tool"
    found: list[str | Call] = []
    for at in range(0, len(whole), size):
        found += reader.feed(whole[at : at + size])
    found += reader.finish()
    assert [piece for piece in found if isinstance(piece, Call)] == [Call("add", '{"a":1}')]
    assert "".join(piece for piece in found if isinstance(piece, str)) == "Let me see. Done <tool"


def test_what_is_no_proper_call_stays_text() -> None:
    """A model that writes broken JSON is quoted, not hidden."""
    reader = ToolCallReader()
    broken = "<tool_call>{oops</tool_call>"
    assert reader.feed(broken) + reader.finish() == [broken]

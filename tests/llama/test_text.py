from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.llama.text import ReplyText


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

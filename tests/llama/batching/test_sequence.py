from __future__ import annotations

import pytest

from shareai_cli.llama.batching.generation import GenerationRequest
from shareai_cli.llama.batching.sampling import Drawn, Sampling
from shareai_cli.llama.batching.sequence import Sequence
from tests.support.replies import Taken

END = 0


class Letters:
    """A vocabulary of bytes, of which the first ends a reply."""

    def ends(self, token: int) -> bool:
        return token == END

    def piece(self, token: int, *, shown: bool = False) -> bytes:
        return bytes([token])


def take(
    text: str | bytes, *stops: str, limit: int = 100, alternatives: int | None = None, stop_tokens: str = ""
) -> Taken:
    """Give a sequence the bytes of a text as its tokens, up to its end."""
    request = GenerationRequest(
        prompts=((1, 2, 3),),
        limit=limit,
        sampling=Sampling(alternatives=alternatives),
        stops=stops,
        stop_tokens=frozenset(stop_tokens.encode()),
    )
    taken = Taken()
    sequence = Sequence(request, taken)
    for token in text.encode() if isinstance(text, str) else text:
        finish = sequence.take(Drawn(token), Letters())
        if finish is not None:
            taken.put(finish)
            break
    return taken


@pytest.mark.parametrize(
    ("text", "stops", "before"),
    [
        ("one two three", ("two",), "one "),
        ("one two three", ("x", "thr", "two t"), "one "),
        ("aaab", ("aab",), "a"),
        ("héé, no", ("é,",), "hé"),
    ],
)
def test_a_stop_string_ends_a_reply_across_the_borders_of_tokens(
    text: str, stops: tuple[str, ...], before: str
) -> None:
    """At its last byte, whatever would have come after it; nothing of it is handed on."""
    taken = take(text, *stops)
    assert (taken.text, taken.ended.reason) == (before, "stop")
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    assert taken.ended.completion_tokens == len(text[: min(ends)].encode())


def test_a_reply_ends_with_the_models_end_a_stop_token_or_its_limit() -> None:
    """Neither of the first two is a token of the reply; a limit lets go what was held back."""
    by_model = take(b"abc\x00def")
    assert (by_model.text, by_model.ended.reason, by_model.ended.completion_tokens) == ("abc", "stop", 3)
    by_token = take("abcdef", stop_tokens="d")
    assert (by_token.text, by_token.ended.reason, by_token.ended.completion_tokens) == ("abc", "stop", 3)
    by_limit = take("abcdef", "cdx", limit=4)
    assert (by_limit.text, by_limit.ended.reason, by_limit.ended.completion_tokens) == ("abcd", "length", 4)


def test_scores_come_with_the_text_that_their_tokens_begin_in() -> None:
    """While an end of text may become a stop string its scores wait, too; a stop string has none."""
    taken = take("ababac...", "abac", alternatives=0)
    assert taken.text == "ab"
    assert [score.token for score in taken.scores] == list(b"ab")
    whole = take("é!\x00", alternatives=0)
    assert [score.token for score in whole.scores] == list("é!".encode())
    assert take("abc\x00").scores == []

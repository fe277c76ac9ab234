from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path

import pytest

from shareai_cli.errors import ModelUnavailable
from shareai_cli.llama.bindings import Sampling
from shareai_cli.llama.demo.build import DEMO_FILE
from shareai_cli.llama.engine import Engine

GREEDY = Sampling(temperature=0)
TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds."


def reply(engine: Engine, text: str, sampling: Sampling = GREEDY, count: int = 24) -> list[int]:
    assert engine.prepare(engine.model.tokenize(text)) is not None
    return list(islice(engine.generate(sampling), count))


def test_the_reply_depends_on_every_token_before(random_engine: Engine) -> None:
    """A fault in positions or in the KV cache would show: each early token changes what follows."""
    usual = reply(random_engine, TEXT)
    for place in (0, 1, len(TEXT) // 2, len(TEXT) - 1):
        changed = TEXT[:place] + chr(ord(TEXT[place]) ^ 1) + TEXT[place + 1 :]
        assert reply(random_engine, changed) != usual, place


def test_greedy_replies_are_the_same_with_and_without_held_tokens(random_engine: Engine) -> None:
    """What two prompts share is evaluated once, and the reply is as if it had been evaluated again."""
    model = random_engine.model
    fresh = reply(random_engine, TEXT)
    assert random_engine.prepare(model.tokenize(TEXT)) == len(model.tokenize(TEXT)) - 1
    assert list(islice(random_engine.generate(GREEDY), 24)) == fresh
    assert random_engine.prepare(model.tokenize(TEXT + "!")) == len(model.tokenize(TEXT))
    reply(random_engine, "something else")
    assert reply(random_engine, TEXT) == fresh


def test_a_seed_makes_the_same_draw(random_engine: Engine) -> None:
    """Equal seeds give equal replies, another seed another one."""
    warm = [Sampling(temperature=1.5, seed=seed) for seed in (1, 1, 2)]
    one, again, other = (reply(random_engine, TEXT, sampling) for sampling in warm)
    assert one == again != other


def test_an_interrupt_ends_a_long_prompt_and_the_next_request_is_right() -> None:
    """A client that leaves while its prompt is read frees the engine; nothing half-read is used again."""
    engine = Engine(str(DEMO_FILE))
    try:
        prompt = engine.model.tokenize("x" * 30_000)
        timer = threading.Timer(0.02, engine.interrupt, (True,))
        timer.start()
        assert engine.prepare(prompt) is None
        timer.join()
        engine.interrupt(False)
        assert engine.prepare(engine.model.tokenize("<|answer|>")) == 0
        first = next(engine.generate(GREEDY))
        assert engine.model.piece(first) == b"Hello!"
    finally:
        engine.close()


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "empty"])
def test_an_unreadable_file_is_an_error_in_words(damage: str, tmp_path: Path) -> None:
    """llama.cpp returns a NULL pointer for such a file; the message names the file."""
    path = tmp_path / "broken.gguf"
    data = DEMO_FILE.read_bytes()
    if damage != "missing":
        path.write_bytes({"cut": data[:100_000], "garbage": bytes(range(256)) * 64, "empty": b""}[damage])
    with pytest.raises(ModelUnavailable, match=r"broken\.gguf"):
        Engine(str(path))

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from shareai_cli.errors import EngineFailed, ModelUnavailable
from shareai_cli.llama.batching.context import Piece
from shareai_cli.llama.batching.pace import CANCEL_SECONDS, LEAST, Pace
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.demo.build import DEMO_FILE
from shareai_cli.llama.engine import Engine
from tests.support.replies import Taken, add, finish, replies, reply

TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds."

CANDIDATES = [
    *(f"{TEXT} {TEXT} And then the number {number} came." for number in range(8)),
    *(f"{number} is where another story begins" for number in range(16)),
    TEXT,
    TEXT,
    "x",
]
"""Some share a long beginning, two are the same, one is short."""

CLEAR = 0.01
"""How far the likeliest token leads, in logits: the order of additions moves them by some 0.003."""

LIMIT = 32

Open = Callable[..., Engine]


@pytest.fixture(scope="module")
def alone(random_file: Path) -> dict[str, str]:
    """The greedy replies to prompts by an engine that never saw another one, where they are clear ones."""
    found = {}
    for prompt in CANDIDATES:
        engine = Engine(str(random_file), context=512)
        _, taken = add(engine, prompt, Sampling(temperature=0, alternatives=2), limit=LIMIT)
        finish(engine)
        engine.close()
        if all(score.alternatives[0][1] - score.alternatives[1][1] > CLEAR for score in taken.scores):
            found[prompt] = taken.text
    assert sum(prompt.startswith(TEXT) for prompt in found) >= 4
    assert sum("another story" in prompt for prompt in found) >= 3
    return found


def test_the_reply_depends_on_every_token_before(random_engine: Engine) -> None:
    """A fault in positions or in the KV cache would show: each early token changes what follows."""
    usual = reply(random_engine, TEXT)
    for place in (0, 1, len(TEXT) // 2, len(TEXT) - 1):
        changed = TEXT[:place] + chr(ord(TEXT[place]) ^ 1) + TEXT[place + 1 :]
        assert reply(random_engine, changed) != usual, place


def test_many_at_once_get_what_each_gets_alone(open_random: Open, alone: dict[str, str]) -> None:
    """Greedy replies do not depend on who else is computed, nor on beginnings that are shared."""
    engine = open_random(context=2048)
    assert replies(engine, alone, limit=LIMIT) == list(alone.values())
    # Again, now from prefixes, in another order, and each twice.
    again = [*reversed(alone), *alone]
    assert replies(engine, again, limit=LIMIT) == [alone[prompt] for prompt in again]


def test_those_who_come_later_join_those_who_run(open_random: Open, alone: dict[str, str]) -> None:
    """One more joins after every few steps, and each gets its own reply."""
    engine = open_random(context=2048, slots=4)
    taken = []
    for prompt in alone:
        taken.append(add(engine, prompt, limit=LIMIT)[1])
        for _ in range(5):
            engine.step()
            assert engine.running <= 4
    finish(engine)
    assert [one.text for one in taken] == list(alone.values())


class Counting(Engine):
    """Counts who was put back, and the steps that llama.cpp had no room for."""

    put_back = 0
    full = 0

    def _put_back(self) -> None:
        self.put_back += 1
        super()._put_back()

    def _make_way(self) -> None:
        self.full += 1
        super()._make_way()


def test_who_is_put_back_gets_the_same_reply(random_file: Path, alone: dict[str, str]) -> None:
    """In a cache that is too small for all, the newest are computed again, and nobody can tell."""
    engine = Counting(str(random_file), context=256, slots=16)
    prompts = [prompt for prompt in alone if len(prompt) < 100] * 3
    got = replies(engine, prompts, limit=LIMIT)
    engine.close()
    assert got == [alone[prompt] for prompt in prompts]
    assert engine.put_back > 0
    assert engine.full == 0


def test_a_cache_that_is_full_against_the_accounts_costs_nobody_a_reply(
    random_file: Path, alone: dict[str, str]
) -> None:
    """Where llama.cpp finds no room that should be there, prefixes go, then the newest waits."""
    engine = Counting(str(random_file), context=256, slots=8)
    engine.cache.cells = 100_000
    assert replies(engine, alone, limit=LIMIT) == list(alone.values())
    engine.close()
    assert engine.full >= engine.put_back > 0


@pytest.mark.parametrize("batch", [32, 512])
def test_a_long_prompt_does_not_hold_up_a_stream(open_random: Open, batch: int) -> None:
    """At each step in which a piece of a long prompt is read, the others get a token, too."""
    engine = open_random(context=2048, batch=batch)
    _, stream = add(engine, TEXT, limit=200)
    while not stream.text:
        engine.step()
    sequence, long = add(engine, "A long one. " * 40, limit=1)
    steps = 0
    while not long.finish:
        before = len(stream.text)
        engine.step()
        steps += 1
        assert len(stream.text) == before + 1
    assert steps >= len(sequence.prompt) / batch
    finish(engine)


def test_what_two_prompts_share_is_computed_once(open_random: Open) -> None:
    """The second, the third at the same time as the second, and a longer one say how much they found."""
    engine = open_random(context=2048)
    tokens = len(engine.model.tokenize(TEXT))
    _, first = add(engine, TEXT)
    _, with_it = add(engine, TEXT + " Yes?")
    finish(engine)
    assert (first.ended.cached_tokens, with_it.ended.cached_tokens) == (0, tokens)
    _, again = add(engine, TEXT)
    finish(engine)
    assert again.ended.cached_tokens == tokens - 1
    _, longer = add(engine, TEXT + again.text + "!")
    finish(engine)
    # The reply's last token was never evaluated.
    assert longer.ended.cached_tokens == tokens + 23


def test_a_follower_goes_on_when_its_leader_leaves(open_random: Open) -> None:
    """Who waits for the cells of another prompt takes what there is once that one is given up."""
    engine = open_random(context=2048, batch=32)
    alone = reply(engine, TEXT * 2 + "b")
    engine.forget_prefixes()
    leader, _ = add(engine, TEXT * 2 + "a")
    _, follower = add(engine, TEXT * 2 + "b")
    engine.step()
    engine.step()
    engine.remove(leader)
    finish(engine)
    assert follower.text == alone
    assert 32 <= follower.ended.cached_tokens < len(TEXT) * 2


def test_prefixes_leave_when_their_room_is_needed(random_file: Path) -> None:
    """A request that needs the whole cache gets it; the oldest prefixes go first."""
    engine = Counting(str(random_file), context=512)
    replies(engine, [f"{number} {TEXT}" for number in range(4)])
    assert engine.cache.prefixes == 4
    assert reply(engine, "y" * 350, limit=100)
    assert engine.cache.prefixes == 1
    assert engine.full == 0
    engine.close()


def test_requests_wait_until_there_is_room_for_them(open_random: Open) -> None:
    """What a request may need is set aside: a third one does not join two that need the whole cache."""
    engine = open_random(context=512, slots=4)
    taken = [add(engine, str(number) * 150, limit=40)[1] for number in range(3)]
    for _ in range(5):
        engine.step()
        assert (engine.running, engine.waiting) == (2, 1)
    finish(engine)
    assert [one.ended.completion_tokens for one in taken] == [40, 40, 40]


def test_a_piece_of_a_prompt_is_small_while_replies_wait_for_it(open_random: Open) -> None:
    """At 100 tokens a second a step with a stream in it reads fewer than one without."""
    engine = open_random(context=2048)
    _, stream = add(engine, "x", limit=100)
    while not stream.text:
        engine.step()
    long, _ = add(engine, "y" * 500)
    engine.pace = Pace()
    engine.pace.took(1.0, prompt=100, reply=0)
    engine.step()
    assert long.evaluated == LEAST
    engine.remove(long)
    finish(engine)
    long, _ = add(engine, "z" * 500)
    engine.pace = Pace()
    engine.pace.took(1.0, prompt=100, reply=0)
    engine.step()
    assert long.evaluated == 100 * CANCEL_SECONDS


def test_random_cancellations_leave_the_cache_empty(open_random: Open) -> None:
    """Whenever a request is given up its slot is free before the next step, and no cell stays behind."""
    engine = open_random(context=512, slots=6)
    chance = random.Random(7)
    live = []
    for number in range(300):
        prompt = TEXT[: chance.randrange(1, 60)] * chance.randrange(1, 3) + str(chance.randrange(9))
        live.append(add(engine, prompt, limit=chance.randrange(1, 60))[0])
        for _ in range(chance.randrange(3)):
            engine.step()
        gone = live.pop(chance.randrange(len(live)))
        engine.remove(gone)
        assert gone.number == -1, number
        live = live[-8:] if len(live) > 8 else live
        for other in live:
            assert other.number < engine.slots + 16
    for other in live:
        engine.remove(other)
    finish(engine)
    assert (engine.running, engine.waiting) == (0, 0)
    engine.forget_prefixes()
    assert (engine.cache.used, engine.held()) == (0, 0)


class Failing(Engine):
    """An engine whose computation fails while a sequence of some prompt is part of it."""

    def fail_with(self, token: int) -> None:
        self.together: list[int] = []
        decode = self._context.decode

        def failing(pieces: list[Piece]) -> bool:
            self.together.append(len(pieces))
            if any(token in piece.tokens for piece in pieces):
                raise EngineFailed("made to fail")
            return decode(pieces)

        self._context.decode = failing  # type: ignore[method-assign, assignment]


def test_a_failure_of_one_is_no_failure_of_the_others(random_file: Path, alone: dict[str, str]) -> None:
    """A step that fails is done again for each by itself, and only who fails alone gets the error."""
    engine = Failing(str(random_file), context=2048)
    [token] = engine.model.tokenize("\x01")
    engine.fail_with(token)
    prompts = list(alone)
    taken = [add(engine, prompt, limit=LIMIT)[1] for prompt in prompts[:3]]
    _, bad = add(engine, TEXT + "\x01" + TEXT)
    taken += [add(engine, prompt, limit=LIMIT)[1] for prompt in prompts[3:]]
    finish(engine)
    engine.close()
    assert isinstance(bad.error, EngineFailed)
    # Those who have shown that they can go on are computed together again.
    assert len(engine.together) < 5 * LIMIT
    assert [one.text for one in taken] == list(alone.values())


def test_a_reader_that_fails_ends_its_own_reply_only(open_random: Open, alone: dict[str, str]) -> None:
    """Whatever goes wrong with one reply's text, the others come to their end."""

    class Broken(Taken):
        def put(self, delta: object) -> None:
            if isinstance(delta, EngineFailed):
                self.error = delta
            else:
                raise ValueError("broken")

    engine = open_random(context=2048)
    sequence, _ = add(engine, TEXT)
    sequence.reader = broken = Broken()
    assert replies(engine, alone, limit=LIMIT) == list(alone.values())
    assert broken.error is not None


def test_a_seed_makes_the_same_draw_in_any_company(open_random: Open) -> None:
    """Equal seeds give equal replies, another seed another one, also when all run together."""
    warm = [Sampling(temperature=1.5, seed=seed) for seed in (1, 1, 2)]
    engine = open_random(context=2048)
    taken = [add(engine, TEXT, sampling)[1] for sampling in warm]
    finish(engine)
    one, again, other = (each.text for each in taken)
    assert one == again != other
    assert reply(engine, TEXT, warm[0]) == one
    # The choices of one request draw with the seeds that follow.
    _, choice = add(engine, TEXT, warm[0], choice=1)
    finish(engine)
    assert choice.text == other


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "empty"])
def test_an_unreadable_file_is_an_error_in_words(damage: str, tmp_path: Path) -> None:
    """llama.cpp returns a NULL pointer for such a file; the message names the file."""
    path = tmp_path / "broken.gguf"
    data = DEMO_FILE.read_bytes()
    if damage != "missing":
        path.write_bytes({"cut": data[:100_000], "garbage": bytes(range(256)) * 64, "empty": b""}[damage])
    with pytest.raises(ModelUnavailable, match=r"broken\.gguf"):
        Engine(str(path))

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from shareai_cli.llama.batching.context import Context, Piece
from shareai_cli.llama.batching.sampling import Drawn, Sampler, Sampling
from shareai_cli.llama.bindings import Library, Model
from shareai_cli.llama.engine import Engine
from tests.support.replies import GREEDY

TEXT = "The quick brown fox"

FREE = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
"""The model's own distribution."""

Open = Callable[..., Engine]


@pytest.fixture(scope="module")
def evaluated(random_file: Path) -> Iterator[tuple[Context, np.ndarray]]:
    """A context with a prompt evaluated, and its logits as they were."""
    library = Library()
    model = Model(library, str(random_file))
    context = Context(library, model, cells=256, sequences=2, threads=1)
    assert context.decode([Piece(0, 0, model.tokenize(TEXT), wants_logits=True)])
    yield context, context.logits(0).copy()
    context.close()
    model.close()


@pytest.fixture
def draw(evaluated: tuple[Context, np.ndarray]) -> Callable[..., list[Drawn]]:
    """Draw tokens after the prompt, each from the logits as they were."""
    context, logits = evaluated

    def drawn(sampling: Sampling, count: int = 1, prompt: tuple[int, ...] = ()) -> list[Drawn]:
        sampler = Sampler(sampling, prompt=prompt)
        found = []
        for _ in range(count):
            context.logits(0)[:] = logits
            found.append(sampler.draw(context, 0))
        sampler.close()
        return found

    return drawn


Draw = Callable[..., list[Drawn]]


def tokens(drawn: list[Drawn]) -> list[int]:
    return [one.token for one in drawn]


def ranking(evaluated: tuple[Context, np.ndarray]) -> list[int]:
    return [int(token) for token in np.argsort(-evaluated[1], kind="stable")]


def probabilities(evaluated: tuple[Context, np.ndarray]) -> np.ndarray:
    weights = np.exp(evaluated[1] - evaluated[1].max())
    return np.asarray(weights / weights.sum())


def test_the_likeliest_is_taken_at_temperature_zero_and_next_to_it(
    draw: Draw, evaluated: tuple[Context, np.ndarray]
) -> None:
    """A temperature that would leave no finite numbers is taken as zero."""
    best = ranking(evaluated)[0]
    for temperature in (0.0, 1e-38, 1e-6):
        assert tokens(draw(Sampling(temperature=temperature), 3)) == [best] * 3


def test_draws_follow_the_models_probabilities(draw: Draw, evaluated: tuple[Context, np.ndarray]) -> None:
    """With nothing cut off each token comes about as often as its probability says."""
    expected = probabilities(evaluated)
    counts = Counter(tokens(draw(FREE, 2000)))
    for token in ranking(evaluated)[:4]:
        deviation = math.sqrt(2000 * expected[token] * (1 - expected[token]))
        assert abs(counts[token] - 2000 * expected[token]) < 5 * deviation


@pytest.mark.parametrize(
    ("fields", "most"),
    [({"top_k": 3}, 3), ({"top_p": 0.0}, 1), ({"min_p": 1.0}, 1), ({"typical_p": 0.01}, 2)],
)
def test_what_is_cut_off_never_comes(draw: Draw, fields: dict[str, float], most: int) -> None:
    """Each of the cut-offs leaves few tokens of many, however hot."""
    hot = structs.replace(FREE, temperature=2.0)
    assert len(set(tokens(draw(hot, 300)))) > 10
    assert 1 <= len(set(tokens(draw(structs.replace(hot, **fields), 300)))) <= most


def test_seeds_decide_the_draw(draw: Draw) -> None:
    """The same seed draws the same tokens, another one others."""
    one, again, other = (tokens(draw(structs.replace(FREE, seed=seed), 50)) for seed in (5, 5, 6))
    assert one == again != other


def test_biases_raise_lower_and_ban(draw: Draw, evaluated: tuple[Context, np.ndarray]) -> None:
    """+100 makes a token come, -100 keeps one away, also where nothing else is left."""
    first, second, *_, last = ranking(evaluated)
    assert tokens(draw(structs.replace(GREEDY, logit_bias=((last, 100.0),)))) == [last]
    assert tokens(draw(structs.replace(GREEDY, logit_bias=((first, -100.0),)))) == [second]
    assert first not in tokens(draw(structs.replace(FREE, logit_bias=((first, -100.0),)), 300))
    nothing = tuple((token, -100.0) for token in range(len(evaluated[1])))
    assert tokens(draw(structs.replace(FREE, temperature=0.01, logit_bias=nothing)))
    assert tokens(draw(structs.replace(Sampling(), logit_bias=nothing)))


def test_penalties_are_openais_and_llama_cpps(draw: Draw, evaluated: tuple[Context, np.ndarray]) -> None:
    """Frequency counts each time, presence once, both in the reply; repetition counts the prompt, too."""
    _, logits = evaluated
    first, second = ranking(evaluated)[:2]
    lead = float(logits[first] - logits[second])
    count = 3
    assert 0 < lead < 2 * count
    frequency = structs.replace(GREEDY, frequency_penalty=lead / count + 0.01)
    assert tokens(draw(frequency, count + 1)) == [first] * count + [second]
    presence = structs.replace(GREEDY, presence_penalty=lead + 0.01)
    assert tokens(draw(presence, 2, prompt=(first,))) == [first, second]
    both = structs.replace(presence, repeat_penalty=1.0001)
    assert tokens(draw(both, 2, prompt=(first,))) == [first, second]
    below = structs.replace(GREEDY, presence_penalty=lead - 0.01)
    assert tokens(draw(below, 5)) == [first] * 5
    repeat = structs.replace(GREEDY, repeat_penalty=float(logits[first] / logits[second]) + 0.01)
    assert tokens(draw(repeat, 1)) == [first]
    assert tokens(draw(repeat, 1, prompt=(first,))) == [second]


def test_penalties_hold_for_replies_of_many_different_tokens(draw: Draw) -> None:
    """Greedy with a large penalty goes through more tokens than the tables begin with, none twice."""
    found = tokens(draw(structs.replace(GREEDY, presence_penalty=1000.0), 200))
    assert len(set(found)) == 200


def test_probabilities_are_the_models_own(draw: Draw, evaluated: tuple[Context, np.ndarray]) -> None:
    """Whatever temperature, bias and penalties do, the logarithms are those of the model."""
    expected = np.log(probabilities(evaluated))
    bent = structs.replace(
        FREE, temperature=2.0, alternatives=3, logit_bias=((ranking(evaluated)[0], -100.0),)
    )
    for drawn in draw(bent, 20):
        assert drawn.logprob == pytest.approx(expected[drawn.token], abs=1e-4)
        assert [token for token, _ in drawn.alternatives] == ranking(evaluated)[:3]
        assert drawn.alternatives[0][1] == pytest.approx(expected.max(), abs=1e-4)
    [alone] = draw(structs.replace(FREE, alternatives=0))
    assert alone.logprob == pytest.approx(expected[alone.token], abs=1e-4)
    assert alone.alternatives == ()

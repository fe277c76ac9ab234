from __future__ import annotations

import numpy as np

from shareai_cli.llama.batching.penalties import Penalties


def test_a_repeated_token_becomes_less_likely_whatever_its_sign() -> None:
    """A positive logit is divided, a negative one multiplied; tokens that did not come stay as they are."""
    logits = np.array([4.0, -4.0, 0.0, 4.0], dtype=np.float32)
    Penalties(2.0, 0.0, 0.0, prompt=[0, 1, 2, 0]).apply(logits)
    assert logits.tolist() == [2.0, -8.0, 0.0, 4.0]


def test_a_token_of_the_reply_is_lowered_once_and_for_each_time() -> None:
    """Presence counts once, frequency each time, and neither counts the prompt."""
    penalties = Penalties(1.0, 0.5, 1.0, prompt=[3])
    for token in (0, 1, 1):
        penalties.add(token)
    logits = np.zeros(4, dtype=np.float32)
    penalties.apply(logits)
    assert logits.tolist() == [-1.5, -2.0, 0.0, 0.0]

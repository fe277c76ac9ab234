"""Draws replies without HTTP and prints what a token costs beside `llama_decode`: run by `bench.engine`."""

from __future__ import annotations

import json
import statistics
import sys
import time

from shareai_cli.errors import ShareAIError
from shareai_cli.llama.batching.generation import Delta, Finish, GenerationRequest
from shareai_cli.llama.batching.pace import Pace
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.batching.sequence import Sequence
from shareai_cli.llama.engine import Engine

SEQUENCES = 8
TOKENS = 64
TEXT = "root ::= [A-Z]+"
"""A grammar that every word of the model keeps to."""

REQUESTS = {
    "greedy": GenerationRequest((), TOKENS, Sampling(temperature=0)),
    "top_k 40": GenerationRequest((), TOKENS, Sampling()),
    "top_k 100": GenerationRequest((), TOKENS, Sampling(top_k=100)),
    "grammar": GenerationRequest((), TOKENS, Sampling(), grammar=TEXT),
    "logprobs": GenerationRequest((), TOKENS, Sampling(alternatives=5)),
}


class Decoding(Pace):
    """Adds up the time of llama.cpp's computing."""

    seconds = 0.0

    def took(self, seconds: float, *, prompt: int, reply: int) -> None:
        """See `Pace`."""
        self.seconds += seconds
        super().took(seconds, prompt=prompt, reply=reply)


class Replies:
    """Counts those that have ended."""

    ended = 0

    def put(self, delta: Delta | ShareAIError) -> None:
        """See `generation.Reader`."""
        if isinstance(delta, ShareAIError):
            raise delta
        self.ended += isinstance(delta, Finish)


def probe(engine: Engine, request: GenerationRequest) -> list[float]:
    """Return the milliseconds of each step, by token, beside the computing."""
    engine.pace = pace = Decoding()
    replies = Replies()
    prompt = tuple(range(300, 310))
    for number in range(SEQUENCES):
        asked = GenerationRequest(
            ((*prompt, 320 + number),), TOKENS, request.sampling, grammar=request.grammar
        )
        engine.add(Sequence(asked, replies))
    steps = []
    while replies.ended < SEQUENCES:
        before, began = pace.seconds, time.perf_counter()
        engine.step()
        spent = time.perf_counter() - began - (pace.seconds - before)
        steps.append(spent * 1000 / SEQUENCES)
    return steps


def main() -> None:
    """Measure every kind of drawing."""
    engine = Engine(sys.argv[1], context=4096, threads=2, slots=SEQUENCES)
    found = {}
    for name, request in REQUESTS.items():
        probe(engine, request)
        found[name] = statistics.median(probe(engine, request))
    engine.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()

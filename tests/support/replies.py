"""An engine driven step by step, without a thread, and what came of each sequence."""

from __future__ import annotations

from collections.abc import Iterable

from shareai_cli.errors import ShareAIError
from shareai_cli.llama.batching.generation import Delta, Finish, GenerationRequest, Scored, Text
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.batching.sequence import Sequence
from shareai_cli.llama.engine import Engine

GREEDY = Sampling(temperature=0)


class Taken:
    """Everything that a sequence handed on."""

    def __init__(self) -> None:
        self.text = ""
        self.scores: list[Scored] = []
        self.finish: Finish | None = None
        self.error: ShareAIError | None = None

    def put(self, delta: Delta | ShareAIError) -> None:
        assert not self.finish and not self.error, "something came after the end"
        if isinstance(delta, Text):
            self.text += delta.text
            self.scores += delta.scores
        elif isinstance(delta, Finish):
            self.finish = delta
        else:
            self.error = delta

    @property
    def ended(self) -> Finish:
        assert self.finish is not None, self.error
        return self.finish


def add(
    engine: Engine,
    prompt: str | Iterable[int],
    sampling: Sampling = GREEDY,
    *,
    limit: int = 24,
    choice: int = 0,
) -> tuple[Sequence, Taken]:
    """Give the engine a sequence."""
    tokens = engine.model.tokenize(prompt) if isinstance(prompt, str) else prompt
    request = GenerationRequest((tuple(tokens),), limit, sampling, choices=choice + 1)
    taken = Taken()
    sequence = Sequence(request, taken, choice=choice)
    engine.add(sequence)
    return sequence, taken


def finish(engine: Engine) -> None:
    """Let the engine come to the end of all that it has."""
    while engine.busy:
        engine.step()


def reply(engine: Engine, prompt: str | Iterable[int], sampling: Sampling = GREEDY, limit: int = 24) -> str:
    """Return the reply to a prompt that has the engine for itself."""
    _, taken = add(engine, prompt, sampling, limit=limit)
    finish(engine)
    assert taken.ended.completion_tokens <= limit
    return taken.text


def replies(
    engine: Engine, prompts: Iterable[str], sampling: Sampling = GREEDY, limit: int = 24
) -> list[str]:
    """Return the replies to prompts that come at once."""
    all_taken = [add(engine, prompt, sampling, limit=limit)[1] for prompt in prompts]
    finish(engine)
    return [taken.text for taken in all_taken]

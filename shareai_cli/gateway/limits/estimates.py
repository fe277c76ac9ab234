"""What a request may take before anybody has answered it: tokens as an estimate, money as the worst case."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from shareai_cli.gateway.body import Fields, prompt_of
from shareai_cli.gateway.strategies.shape import BYTES_PER_TOKEN, shape_of
from shareai_cli.ledger import Costs
from shareai_cli.types import Usage

TYPICAL_ANSWER: Final = 300
"""Tokens of an answer, where the request does not say how long it may be."""

MARGIN: Final = 1_000
MOST_PER_MEDIUM: Final = 40_000
"""Tokens that a provider may add to a prompt, and that a picture or file may come to."""

STEP: Final = 256
"""The longest prompts are rounded up to a multiple, so that requests share what is worked out of it."""

LONGEST_ANSWER: Final = 16_384
SHORTEST_ANSWER: Final = 256
"""What an answer is cut to where a budget has to be kept and the request does not say how long it may be."""

MOST_REMEMBERED: Final = 4_096
HOUR_MS: Final = 3_600_000

_NAME: Final = "max_tokens"
_NEWER_NAME: Final = "max_completion_tokens"
_OPENAI: Final = ("openai", "azure")
"""Whose newer models refuse `max_tokens`; others know nothing else."""

_MILLION: Final = 10**6
BOUNDLESS: Final = 1 << 62
"""More tokens, or nano-dollars, than anybody has."""

_MEDIUM: Final = re.compile(rb'"type"\s*:\s*"(?!(?:text|refusal|function|thinking)")')
_ESCAPE: Final = re.compile(rb"\\u")
_TEXTS: Final = ("text", "refusal", "function", "thinking", None)
"""What parts of a message are that hold nothing but text."""

_decoder: Final = msgspec.json.Decoder()


class _Message(Struct):
    content: Any = None


_messages_decoder: Final = msgspec.json.Decoder(list[_Message])


class Ask(Struct, frozen=True, gc=False):
    """What a request asks for."""

    prompt: int
    """Tokens, estimated."""
    most_prompt: int
    """Tokens that it cannot exceed, as each is at least a byte."""
    longest: int | None
    """Tokens of an answer; None leaves them to the model, and embeddings have none."""
    choices: int = 1
    """Answers."""

    def tokens(self, least: int) -> int:
        """Estimate all tokens; an answer that is left to the model is not taken to pass `least`."""
        if self.longest is not None:
            return self.prompt + self.longest * self.choices
        return max(self.prompt, min(self.prompt + TYPICAL_ANSWER * self.choices, least))


def ask_of(fields: Fields, body: bytes) -> Ask:
    """Return what a request asks for; what is malformed counts as not said."""
    messages = prompt_of(fields)
    if body.find(b"[", body.find(b"[") + 1) >= 0:  # else every message is plain text, which is soon found
        media, prompt = count_media(messages), shape_of(fields).prompt
    else:
        media, prompt = 0, -(-len(memoryview(messages)) // BYTES_PER_TOKEN)
    longest = _tokens(fields[_NEWER_NAME]) if _NEWER_NAME in fields else None
    if _NAME in fields:
        other = _tokens(fields[_NAME])
        longest = max(other, longest) if other is not None and longest is not None else other or longest
    if _writes_nothing(fields):
        longest = 0
    choices = _tokens(fields["n"]) or 1 if "n" in fields else 1
    most = len(body) + MARGIN + media * MOST_PER_MEDIUM
    return Ask(prompt, -(-most // STEP) * STEP, longest, choices)


def count_media(messages: Raw) -> int:
    """Count the pictures and files in messages, however their JSON is written."""
    view = memoryview(messages)
    if _ESCAPE.search(view) is None:
        return len(_MEDIUM.findall(view))
    try:
        decoded = _messages_decoder.decode(messages)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return len(_MEDIUM.findall(view))
    parts = [part for one in decoded if isinstance(one.content, list) for part in one.content]
    return sum(isinstance(part, dict) and part.get("type") not in _TEXTS for part in parts)


def limit_answer(fields: Fields, tokens: int, price_as: str) -> None:
    """Put the longest answer into a request under the name by which its provider goes."""
    leave_answer_open(fields)
    fields[_NEWER_NAME if _knows_newer(fields, price_as) else _NAME] = Raw(b"%d" % tokens)


def leave_answer_open(fields: Fields) -> None:
    """Let a request say nothing of how long its answer may be."""
    fields.pop(_NAME, None)
    fields.pop(_NEWER_NAME, None)


def says_longest(fields: Fields, price_as: str, *, at_least_so: bool) -> bool:
    """Tell whether a request says how long its answer may be, in words that its provider understands.

    OpenAI knows both names, and its newer models refuse the older one: `at_least_so` leaves that to the
    client.
    """
    if _writes_nothing(fields):
        return True
    if _knows_newer(fields, price_as):
        return _NEWER_NAME in fields or (at_least_so and _NAME in fields)
    return _NAME in fields


def _knows_newer(fields: Fields, price_as: str) -> bool:
    """Tell whether a provider goes by the newer name, as none does for completions of a text."""
    return price_as in _OPENAI and "messages" in fields


def _writes_nothing(fields: Fields) -> bool:
    """Tell whether embeddings are asked for."""
    return "input" in fields and "messages" not in fields


class WorstRates(Struct, frozen=True, gc=False):
    """What a request to a target costs at worst, nano-dollars."""

    prompt: int
    million: int
    """A million tokens of the answer."""

    def cost(self, tokens: int) -> int:
        """Return the cost with so many tokens in all answers."""
        return self.prompt - (-self.million * tokens // _MILLION)

    def affordable(self, nano: int) -> int:
        """Return the tokens of answers that so much pays for."""
        if not self.million:
            return BOUNDLESS
        return max(0, nano - self.prompt) * _MILLION // self.million


class WorstCosts:
    """Works them out once for each target, length of a prompt and hour, by the prices of the accounts."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._known: dict[tuple[str, str, int, int], WorstRates | None] = {}

    def rates(self, price_as: str, model: str, prompt: int, time_ms: int) -> WorstRates | None:
        """Return what a target costs at worst for so long a prompt; None where no price is known."""
        place = (price_as, model, prompt, time_ms // HOUR_MS)
        try:
            return self._known[place]
        except KeyError:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            rates = self._known[place] = self._rates(price_as, model, prompt, time_ms)
            return rates

    def _rates(self, price_as: str, model: str, prompt: int, time_ms: int) -> WorstRates | None:
        """Price each kind of token: a prompt may be written to a cache, an answer be reasoning."""
        prices = self._costs.prepare()

        def cost(usage: Usage) -> int | None:
            return prices.cost_nano(price_as, model, usage, time_ms) if price_as else None

        asked = (cost(Usage(prompt)), cost(Usage(cache_write=prompt)), cost(Usage(cached=prompt)))
        answered = (cost(Usage(prompt, completion=_MILLION)), cost(Usage(prompt, reasoning=_MILLION)))
        if asked[0] is None or answered[0] is None:
            return None
        worst = max(one for one in asked if one is not None)
        million = max(one for one in answered if one is not None) - asked[0]
        return WorstRates(worst, max(0, million))


def _tokens(value: Raw) -> int | None:
    if len(memoryview(value)) > 12:
        return None
    try:
        tokens = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return tokens if type(tokens) is int and tokens > 0 else None

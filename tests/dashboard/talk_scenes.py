"""Models that can be asked, and answers that come as a test says."""

from __future__ import annotations

import asyncio

from shareai_cli.dashboard.talking import Reply
from shareai_cli.types import ModelInfo, ModelListing

MODELS = (
    ModelInfo(
        "chat", "route", ("groq/llama-3.3-70b", "openai/gpt-5-mini"), "serving", 0, "", 128_000,
        ("tools",), 590_000_000, 2_000_000_000,
    ),
    ModelInfo("node/qwen3-8b", "local", ("node/qwen3-8b",), "loaded", 0, "", 32_768, ("tools", "reasoning"),
              0, 0),
    ModelInfo(
        "openai/gpt-5-mini", "provider", ("openai/gpt-5-mini",), "cooling", 17, "HTTP 429", 400_000,
        ("tools", "vision", "reasoning"), 250_000_000, 2_000_000_000,
    ),
    ModelInfo("p1/\x1b]0;owned\x07\u202egnp.exe", "provider", ("p1/x",), "unknown"),
)  # fmt: skip

DONE = Reply(
    "A smoke test shows\nthat the whole thing works at all.",
    "openai/gpt-5-mini",
    1,
    has_ended=True,
    first_us=310_000,
    elapsed_us=2_120_000,
    prompt_tokens=12,
    completion_tokens=80,
    cost_nano=163_000,
    is_cost_known=True,
)


class TalkAdmin:
    """The admin interface, as far as models go."""

    def __init__(self, models: tuple[ModelInfo, ...] = MODELS) -> None:
        self._models = models

    def list_models(self) -> ModelListing:
        return ModelListing(self._models, ("groq does not tell.",))


class ScriptedVoice:
    """Answers what a test sets, until the test ends it."""

    def __init__(self, model: str, prompt: str, reply: Reply) -> None:
        self.model = model
        self.prompt = prompt
        self.reply = reply
        self.end = asyncio.Event()

    def now(self) -> Reply:
        return self.reply

    async def run(self) -> None:
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.reply = Reply("A smoke", is_stopped=True, has_ended=True)
            raise


class ScriptedTalking:
    """Remembers who was asked what."""

    def __init__(self, *replies: Reply) -> None:
        self.voices: list[ScriptedVoice] = []
        self._replies = replies or (Reply(),)

    def voice(self, model: str, prompt: str) -> ScriptedVoice:
        made = ScriptedVoice(model, prompt, self._replies[len(self.voices) % len(self._replies)])
        self.voices.append(made)
        return made

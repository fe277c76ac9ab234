"""What a drill finds: requests as they were answered, findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from shareai_cli.drill_types import CheckName
from shareai_cli.types import Attempt, RequestRow


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """It could not be run, so that nothing is known."""
    SKIPPED = "skipped"
    """It is about something that is not there: a second target, a cache."""


class PromptTokens(Struct, frozen=True):
    """What a reply's `usage` says of its prompt."""

    cached_tokens: int | None = None


class Tokens(Struct, frozen=True):
    """What a reply's own `usage` counts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int | None = None
    prompt_tokens_details: PromptTokens | None = None

    @property
    def total(self) -> int:
        """All of them; some providers count in the total alone what others count in the completion."""
        return max(self.total_tokens or 0, self.prompt_tokens + self.completion_tokens)

    @property
    def answer(self) -> int:
        """Those of the answer, its thoughts among them."""
        return self.total - self.prompt_tokens

    @property
    def cached(self) -> int | None:
        """Those of the prompt that came out of a cache; None where the reply does not tell."""
        details = self.prompt_tokens_details
        return None if details is None else details.cached_tokens


class Asked(Struct, frozen=True):
    """One request of a drill, as its client saw it, and its row in the accounts."""

    model: str
    streamed: bool
    status: int = 0
    """0 where no reply came."""
    request_id: str = ""
    target: str = ""
    """`provider/model` of who answered, as the reply's head says."""
    text: str = ""
    tokens: Tokens | None = None
    is_whole: bool = False
    """Whether the reply came to its end, a stream's `[DONE]` included."""
    error_code: str = ""
    error: str = ""
    """What went wrong, for a person."""
    cache: str = ""
    """`x-shareai-cache`."""
    retry_after: float | None = None
    headers: dict[str, str] = {}
    """Those that tell of limits, and whether to try again."""
    first_seconds: float | None = None
    """To the first text of a stream, or the first thought."""
    seconds: float = 0.0
    row: RequestRow | None = None
    """None where the accounts have none."""

    @property
    def tokens_per_second(self) -> float | None:
        """The pace after the first token; None where a reply is too short to tell, or came at once."""
        if not self.streamed or self.tokens is None or self.first_seconds is None:
            return None
        seconds, tokens = self.seconds - self.first_seconds, self.tokens.completion_tokens - 1
        return tokens / seconds if tokens > 0 and seconds > 0.001 else None


def failing(attempts: Sequence[Attempt]) -> float:
    """Return the seconds that attempts took which gave no answer: what a failover cost."""
    return sum(one.duration_us for one in attempts if one.outcome != "ok") / 1e6


class Finding(Struct, frozen=True):
    """What one case found."""

    check: CheckName
    subject: str
    """The route or target that it is about."""
    case: str
    verdict: Verdict
    expected: str = ""
    happened: str = ""
    """What happened instead; of a case that was skipped or blocked, why."""
    look_at: str = ""
    """A command, or a place, that tells more."""
    note: str = ""
    seconds: float = 0.0
    asked: tuple[Asked, ...] = ()


class Report(Struct, frozen=True):
    """Everything that a drill found."""

    id: str
    began_ms: int
    ended_ms: int
    cause: str
    findings: tuple[Finding, ...]
    cost_nano: int
    has_unknown_cost: bool
    """Whether some requests went to targets whose price is unknown, so that they cost more than that."""

    @property
    def verdict(self) -> Literal["passed", "failed", "partly"]:
        """Whether everything passed, something failed, or some of it could not be run."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.FAILED in verdicts:
            return "failed"
        return "partly" if Verdict.BLOCKED in verdicts or Verdict.PASSED not in verdicts else "passed"

    def count(self, verdict: Verdict) -> int:
        """Return how many cases ended so."""
        return sum(finding.verdict is verdict for finding in self.findings)

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(len(finding.asked) for finding in self.findings)

"""What is told of an answer beside its text: who gave it, how fast, of how many tokens, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.console import printable
from shareai_cli.types import CostBasis, RequestRow

STOPPED: Final = "stopped"
ENDINGS: Final = {"length": "cut off at the token limit", "content_filter": "cut off by a content filter"}


def facts_line(answer: Answer) -> str:
    """Return one line for people."""
    parts = [answer.target or answer.model]
    if answer.first_token_seconds is not None:
        parts.append(f"{_seconds(answer.first_token_seconds)} to the first token")
        parts.append(f"{_seconds(answer.total_seconds)} in all")
    parts += [part for part in (_tokens(answer), _cost(answer.account)) if part]
    if answer.attempts > 1:
        parts.append(f"{answer.attempts} attempts")
    if answer.is_stopped:
        parts.append(STOPPED)
    elif answer.finish_reason in ENDINGS:
        parts.append(ENDINGS[answer.finish_reason])
    return printable(" · ".join(parts))


def as_fields(answer: Answer) -> Mapping[str, Any]:
    """Return an answer as `--json` has it."""
    tokens, account, error = answer.tokens, answer.account, answer.error
    return {
        "model": answer.model,
        "target": answer.target or None,
        "attempts": answer.attempts or None,
        "request_id": answer.request_id or None,
        "content": answer.text,
        "finish_reason": answer.finish_reason or None,
        "prompt_tokens": tokens.prompt_tokens if tokens is not None else None,
        "completion_tokens": tokens.completion_tokens if tokens is not None else None,
        "first_token_ms": _milliseconds(answer.first_token_seconds),
        "total_ms": _milliseconds(answer.total_seconds),
        "cost_nano_usd": account.cost_nano if account is not None else None,
        "cost_basis": account.basis if account is not None else None,
        "error": {"message": error.message, "code": error.code} if error is not None else None,
    }


def _tokens(answer: Answer) -> str:
    """Return the stream's own count, else what the accounts have."""
    if answer.tokens is not None:
        return f"{answer.tokens.prompt_tokens:,} + {answer.tokens.completion_tokens:,} tokens"
    if answer.account is None:
        return ""
    usage = answer.account.usage
    prompt, completion = usage.prompt + usage.cached + usage.cache_write, usage.completion + usage.reasoning
    about = "about " if answer.account.estimated_tokens else ""
    return f"{about}{prompt:,} + {completion:,} tokens"


def _cost(account: RequestRow | None) -> str:
    """Return the cost and how exact it is; nothing where nobody could be asked."""
    if account is None:
        return ""
    if account.cost_nano is None:
        return "cost unknown"
    if account.basis is CostBasis.ESTIMATED:
        return f"about ${_dollars(account.cost_nano)} (estimated)"
    return f"${_dollars(account.cost_nano)} (exact)" if account.cost_nano else "free"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _dollars(nano: int) -> str:
    """Return nano-dollars in dollars, to the last digit that says something."""
    return f"{nano / 1e9:.9f}".rstrip("0").rstrip(".") if nano < 10_000_000 else f"{nano / 1e9:,.4f}"

"""A gateway on a busy day, for pictures."""

from __future__ import annotations

from shareai_cli.live import (
    Event,
    LiveGpu,
    LiveModel,
    LiveNode,
    LiveRoute,
    LiveTarget,
    Minute,
    News,
    Rates,
    Settled,
    Today,
)
from shareai_cli.types import LimitUse, Outcome

NOW = 1_790_000_040.0
NOW_MS = int(NOW * 1000)


def settled(number: int, **fields: object) -> Settled:
    """Return a request."""
    ways = {
        "id": f"req_{number:016x}",
        "time_ms": NOW_MS - 1000 * (40 - number),
        "key": "laptop",
        "route": "chat",
        "target": "openai/gpt-5-mini",
        "status": 200,
        "outcome": Outcome.OK,
        "error": "",
        "streamed": True,
        "attempts": ("openai/gpt-5-mini",),
        "tokens": 40 * number,
        "first_token_us": 210_000 + 3_000 * number,
        "total_us": 1_900_000 + 10_000 * number,
    }
    return Settled(**{**ways, **fields})  # type: ignore[arg-type]


SETTLED = (
    settled(1),
    settled(2, key="ci", attempts=("groq/llama-3.3-70b", "openai/gpt-5-mini")),
    settled(3, route="code", target="node/qwen3-8b", attempts=("node/qwen3-8b",), first_token_us=0),
    settled(4, status=503, outcome=Outcome.FAILED, error="no_target_available", target="groq/llama-3.3-70b"),
    settled(5, status=200, outcome=Outcome.HIT, attempts=(), target="", first_token_us=0, total_us=400),
    settled(6, key="ci\x1b[31m", route="evil\x1b]0;owned\x07name", target="p1/\x1b[2J\u202egnp.exe"),
)

ROUTES = (
    LiveRoute(
        "chat",
        "priority",
        (
            LiveTarget(
                "groq/llama-3.3-70b", "ejected", 42, "HTTP 503 three times in a row", 1, 310, 31, 180_000,
                590_000_000, 790_000_000,
            ),
            LiveTarget(
                "openai/gpt-5-mini", "serving", 0, "", 1, 690, 2, 330_000, 250_000_000, 2_000_000_000
            ),
        ),
    ),
    LiveRoute(
        "code",
        "cheapest",
        (
            LiveTarget("node/qwen3-8b", "serving", 0, "", 1, 120, 0, 90_000, 0, 0, True),
            LiveTarget("anthropic/claude-sonnet-4-5", "cooling", 17, "HTTP 429", 1, 11, 3, 700_000,
                       3_000_000_000, 15_000_000_000),
        ),
    ),
)  # fmt: skip

NODES = (
    LiveNode(
        "node",
        "draining",
        "by alice, 2026-09-21 14:10",
        "box",
        "Linux 6.1",
        "AMD EPYC 9354",
        32,
        128 << 30,
        48 << 30,
        0.43,
        61.0,
        (LiveGpu("NVIDIA H100", 80 << 30, 20 << 30, 0.87, 64.0, 412.0), LiveGpu("Tesla T4", 16 << 30)),
        (
            LiveModel("qwen3-8b", "ready", "", 9 << 30, 32_768, 8, 3, 2, 211.5),
            LiveModel("llama-3-70b", "unloaded"),
            LiveModel("phi-4", "waiting", "The process of the model 'phi-4' was ended by signal 9."),
        ),
    ),
)

BUSY = Event(
    1_204,
    3,
    settled=SETTLED,
    is_whole=True,
    rates=Rates(12.4, 0.31, 2_210.0),
    minutes=tuple(
        Minute(
            NOW_MS - 60_000 * (59 - at), 20 + (at * 7) % 31, at % 9 // 8, 900 * (at % 13), 300_000, 900_000
        )
        for at in range(60)
    ),
    routes=ROUTES,
    nodes=NODES,
    news=(
        News(NOW_MS - 90_000, "The configuration was taken up."),
        News(NOW_MS - 8_000, "groq/llama-3.3-70b was ejected: HTTP 503 three times in a row"),
    ),
    today=Today(1_204, 131, 904_120, 210_000, 240_000_000, 3_120_000_000, 4, 2),
    limits=(LimitUse("team/dev", "budget_per_month", 50_000_000_000, 21_300_000_000),),
)

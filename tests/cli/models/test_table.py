"""The table of models at a terminal of any width, and elsewhere."""

from __future__ import annotations

import pytest

from shareai_cli.cli.models.table import dollars, lasting, layout, tokens
from shareai_cli.types import ModelInfo

GPT = ModelInfo("openai/gpt-5-mini", "provider", ("openai/gpt-5-mini",), "cooling", 90.0, "HTTP 429",
                400_000, ("tools", "vision", "reasoning"), 250_000_000, 2_000_000_000)  # fmt: skip
ROUTE = ModelInfo("chat", "route", ("openai/gpt-5-mini", "node/tiny"), "serving")
LONG = ModelInfo(f"alpha/{'long-' * 30}", "provider", (), "unknown", context=8192, abilities=())


def test_elsewhere_every_model_is_one_line() -> None:
    """With words, whole names, and - for what is not known."""
    assert layout([ROUTE, GPT], None) == [
        "MODEL                        CONTEXT  ABILITIES                 IN   OUT  STATE",
        "chat > openai/gpt-5-mini +1        -  -                          -     -  serving",
        "openai/gpt-5-mini               400k  tools vision reasoning  0.25  2.00  cooling 2 min",
    ]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_terminal_is_never_wider_than_it_is(width: int) -> None:
    """A name that has no room in its column stands whole on a line of its own; its cells follow."""
    lines = layout([GPT, LONG, ROUTE], width, is_short=True)
    name = LONG.id
    assert all(len(line) <= width or line == name for line in lines)
    if width < 200:
        assert lines[lines.index(name) + 1].split() == ["8k", "none", "-", "-", "-"]
    else:
        assert any(line.startswith(f"{name}  ") for line in lines)
    assert "400k  tvr   0.25  2.00  cooling 2 min" in "\n".join(lines)


def test_names_cannot_steer_a_terminal() -> None:
    """Not by control sequences, nor by ending the line."""
    evil = ModelInfo("alpha/\x1b[31mred\nopenai/gpt-5", "provider", (), "serving")
    text = "\n".join(layout([evil], None))
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (512, "512"), (8192, "8k"), (32_768, "32k"), (128_000, "128k"), (131_072, "128k"),
     (200_000, "200k"), (1_000_000, "1M"), (1_048_576, "1M"), (1_050_000, "1.05M"), (12_345, "12k"),
     (2_097_152, "2M"), (1, "1")],
)  # fmt: skip
def test_contexts_are_said_as_people_say_them(count: int | None, text: str) -> None:
    """The exact number is in JSON."""
    assert tokens(count) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [(None, "-"), (0, "0"), (250_000_000, "0.25"), (15_000_000_000, "15.00"), (37_500_000, "0.0375"),
     (2_500_000_000, "2.50"), (120_000_000_000, "120.00")],
)  # fmt: skip
def test_prices_have_cents_and_what_they_have_beyond(nano: int | None, text: str) -> None:
    """An unknown price is none of nought."""
    assert dollars(nano) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59.0, "59 s"), (60.0, "1 min"), (899.0, "15 min"), (7200.0, "2 h")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    """They are told while they pass."""
    assert lasting(seconds) == text

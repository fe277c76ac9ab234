"""How numbers, times, states and foreign text are written on a screen; knows nothing of terminals."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from shareai_cli.dashboard.state import LiveState
from shareai_cli.live import LiveTarget
from shareai_cli.types import Outcome

_STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

_SYMBOLS: Final[Mapping[str, str]] = {
    "serving": "●", "loaded": "●", "ready": "●",
    "trial": "◐", "probing": "◐", "loading": "◐", "starting": "◐",
    "cooling": "◌", "ejected": "✕", "broken": "✕", "missing": "✕",
    "aside": "▲", "key aside": "▲",
    "disabled": "■", "draining": "▽", "paused": "‖",
    "not loaded": "○", "unloaded": "○", "waiting": "○", "offline": "○",
}  # fmt: skip

_WORDS: Final[Mapping[str, str]] = {"aside": "put aside", "key aside": "keys aside", "unloaded": "not loaded"}

BARS: Final = " ▁▂▃▄▅▆▇█"


def plain(text: str) -> str:
    """Return foreign text as one line without what could steer a terminal or turn writing round."""
    return _STEERING.sub("�", text)


def plain_lines(text: str) -> str:
    """Return foreign text of several lines as `plain` returns one."""
    return "\n".join(plain(line.replace("\t", "    ")) for line in text.replace("\r\n", "\n").split("\n"))


def state_words(state: str, seconds: float = 0.0) -> str:
    """Return a state as a symbol and a word, and how long it lasts."""
    lasting = f" {age(seconds)}" if seconds else ""
    return f"{_SYMBOLS.get(state, '?')} {_WORDS.get(state, plain(state))}{lasting}"


def outcome_words(outcome: Outcome | None) -> str:
    """Return how a request ended, as a symbol and a word."""
    if outcome is None:
        return "… under way"
    symbol = {Outcome.OK: "✓", Outcome.HIT: "≡", Outcome.JOINED: "≡", Outcome.FAILED: "✕"}.get(outcome, "!")
    return f"{symbol} {outcome.value}"


def verdict_words(verdict: str) -> str:
    """Return how a case of a drill, or the whole of it, ended, as a symbol and a word."""
    symbols = {"passed": "✓", "failed": "✕", "blocked": "▲", "partly": "▲", "skipped": "·"}
    return f"{symbols.get(verdict, '?')} {plain(verdict)}"


def duration(microseconds: int | None) -> str:
    """Write a duration, `-` where there is none."""
    if not microseconds:
        return "-"
    if microseconds < 9_950:
        return f"{microseconds / 1000:.1f} ms"
    if microseconds < 999_500:
        return f"{microseconds / 1000:.0f} ms"
    return f"{microseconds / 1e6:.1f} s" if microseconds < 99_950_000 else age(microseconds / 1e6)


def age(seconds: float) -> str:
    """Write how long something lasts."""
    for size, unit in ((86_400, "d"), (3600, "h"), (100, "min")):
        if seconds >= size:
            return f"{seconds / (60 if unit == 'min' else size):.0f} {unit}"
    return f"{seconds:.0f} s"


def money(nano: int | None) -> str:
    """Write US dollars with the digits that matter."""
    if nano is None:
        return "unknown"
    if 0 < nano < 50_000:
        return "<$0.0001"
    dollars = nano / 1e9
    if dollars >= 100:
        return f"${dollars:,.0f}"
    return f"${dollars:.2f}" if dollars >= 0.01 or not nano else f"${dollars:.4f}"


def price(prompt_nano: int | None, completion_nano: int | None) -> str:
    """Write the prices of a million tokens of a prompt and of its answer."""
    if prompt_nano is None or completion_nano is None:
        return "-"
    if not prompt_nano and not completion_nano:
        return "free"
    return f"{prompt_nano / 1e9:.3g}/{completion_nano / 1e9:.3g}"


def count(number: float) -> str:
    """Write a count in at most five characters or so."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:.1f}"


def share(part: float, whole: float) -> str:
    """Write a part of a whole in percent, `-` where there is no whole."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 9.95 or not part else f"{percent:.1f} %"


def time_of_day(time_ms: int) -> str:
    """Write the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(time_ms / 1000))


def date_and_time(time_ms: int) -> str:
    """Write the local date and time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms / 1000))


def date(time_ms: int) -> str:
    """Write the local day: 29 Nov 2026."""
    return time.strftime("%d %b %Y", time.localtime(time_ms / 1000))


def bar(part: float, width: int) -> str:
    """Draw a share from 0 to 1 as a bar."""
    eighths = round(min(max(part, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width)


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw values as bars of one line, the newest to the right; of neighbours the largest."""
    if not values or width <= 0:
        return ""
    if len(values) > width:
        edges = [round(at * len(values) / width) for at in range(width + 1)]
        values = [max(values[a:b]) for a, b in pairwise(edges)]
    top = max(values) or 1
    return "".join(BARS[min(8, -int(-value * 8 // top))] if value else BARS[0] for value in values)


class Figure:
    """One number of the overview: its name, value, what is beside it, and its course over the last hour."""

    __slots__ = ("course", "name", "note", "value")

    def __init__(self, name: str, value: str, note: str = "", course: Sequence[float] = ()) -> None:
        self.name = name
        self.value = value
        self.note = note
        self.course = course


def figures(state: LiveState, now_ms: int) -> list[Figure]:
    """Return the overview's numbers, in their order."""
    hour, rates, today = state.hour(now_ms), state.rates, state.today
    p50, p95 = state.first_tokens()
    return [
        Figure("requests/s", count(rates.requests), f"{state.in_flight} now", [one.requests for one in hour]),
        Figure("errors", share(rates.errors, rates.requests), "", [one.errors for one in hour]),
        Figure("tokens/s", count(rates.tokens), "", [one.tokens for one in hour]),
        Figure("first token", duration(p50), f"p95 {duration(p95)}", [one.first_p50_us or 0 for one in hour]),
        _spend(state),
        _budget(state),
        Figure("from cache", share(today.kept, today.requests) if today else "-", "today"),
        Figure(
            "own machines",
            share(today.own_tokens, today.tokens) if today else "-",
            f"saved ~{money(today.saved_nano)}" if today and today.saved_nano is not None else "of tokens",
        ),
    ]


def _spend(state: LiveState) -> Figure:
    today = state.today
    if today is None:
        return Figure("spent today", "-")
    about = "~" if today.estimated_cost else ""
    note = f"+{count(today.unknown_cost)} unknown" if today.unknown_cost else ""
    return Figure("spent today", f"{about}{money(today.cost_nano)}", note)


def _budget(state: LiveState) -> Figure:
    budgets = state.budgets()
    if not budgets:
        return Figure("budget", "none", "is set")
    first = budgets[0]
    return Figure("budget", share(first.used, first.most), f"of {money(first.most)} {plain(first.subject)}")


def shares(targets: Sequence[LiveTarget]) -> list[str]:
    """Return what each target has of its route's traffic."""
    whole = sum(one.asked for one in targets)
    return [share(one.asked, whole) for one in targets]


def overview(state: LiveState, now_ms: int, width: int = 80) -> list[str]:
    """Return the whole overview as lines of plain text."""
    lines = []
    for one in figures(state, now_ms):
        course = sparkline(one.course, max(0, width - 44))
        lines.append(f"{one.name:<14}{one.value:>10}  {one.note:<18}{course}".rstrip()[:width])
    for route in state.routes:
        lines += ["", f"{plain(route.name) or 'asked by name'}  ({route.strategy})"[:width]]
        for target, part in zip(route.targets, shares(route.targets), strict=True):
            standing = state_words(target.state, target.seconds)
            facts = f"{part:>6}  {duration(target.first_token_us):>8}  {plain(target.reason)}"
            lines.append(f"  {plain(target.target):<34} {standing:<18} {facts}".rstrip()[:width])
    if state.news:
        lines += [
            "",
            *(f"{time_of_day(one.time_ms)}  {plain(one.text)}"[:width] for one in list(state.news)[-5:]),
        ]
    return lines

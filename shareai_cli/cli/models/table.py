"""The table of models: as wide as the terminal, names whole; elsewhere one line a model, however wide."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from shareai_cli.cli.console import note, print_line, printable
from shareai_cli.types import ModelInfo

NANO: Final = 10**9

_RIGHT: Final = (False, True, False, True, True, False)
_LETTERS: Final = {"tools": "t", "vision": "v", "reasoning": "r", "embeddings": "e"}
_NARROWEST: Final = 12
"""Characters that names have at least, however narrow the terminal."""


def print_models(models: Sequence[ModelInfo]) -> None:
    """Print models on standard output; what abbreviations mean goes to standard error."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    is_short = width is not None and max(map(len, layout(models, None))) > width
    heading, *lines = layout(models, width, is_short=is_short)
    sys.stdout.write(f"\x1b[1m{heading}\x1b[0m\n" if is_terminal and _may_style() else f"{heading}\n")
    for line in lines:
        print_line(line)
    if is_short:
        note("CAN: t tools, v vision, r reasoning, e embeddings.")
        note("IN, OUT: US dollars for a million tokens. -: not known.")


def layout(models: Sequence[ModelInfo], width: int | None, *, is_short: bool = False) -> list[str]:
    """Return the heading and the lines; a name that is too long for its column has a line of its own."""
    heading = ("MODEL", "CONTEXT", "CAN" if is_short else "ABILITIES", "IN", "OUT", "STATE")
    cells = [heading, *(_row(model, is_short=is_short) for model in models)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        room = width - sum(widths[1:]) - 2 * (len(widths) - 1)
        widths[0] = max([_NARROWEST, *(len(row[0]) for row in cells if len(row[0]) <= room)])
    return [line for row in cells for line in _lines(row, widths)]


def tokens(count: int | None) -> str:
    """Return a number of tokens as people say it: 8k, 128k, 1M."""
    if count is None:
        return "-"
    if count >= 1_000_000:
        return f"{count >> 20}M" if count % (1 << 20) == 0 else f"{count / 1_000_000:.3g}M"
    for unit in (1000, 1 << 10):
        if count >= unit and count % unit == 0:
            return f"{count // unit}k"
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)


def dollars(nano: int | None) -> str:
    """Return a price as dollars, with cents and as many digits beyond as it has."""
    if nano is None:
        return "-"
    whole, _, rest = f"{nano / NANO:.6f}".rstrip("0").partition(".")
    return f"{whole}.{rest.ljust(2, '0')}" if nano else "0"


def lasting(seconds: float) -> str:
    """Return a time as people say it."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    name, *others = row
    if len(name) > widths[0]:
        yield name
        name = ""
    cells = (name, *others)
    yield "  ".join(
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, _RIGHT, strict=True)
    ).rstrip()


def _row(model: ModelInfo, *, is_short: bool) -> tuple[str, ...]:
    return (
        printable(_name(model)).replace("\n", "�"),
        tokens(model.context),
        _abilities(model, is_short=is_short),
        dollars(model.prompt_nano),
        dollars(model.completion_nano),
        _state(model),
    )


def _name(model: ModelInfo) -> str:
    if model.kind != "route":
        return model.id
    more = f" +{len(model.targets) - 1}" if len(model.targets) > 1 else ""
    return f"{model.id} > {model.targets[0]}{more}"


def _abilities(model: ModelInfo, *, is_short: bool) -> str:
    if model.abilities is None:
        return "-"
    if is_short:
        return "".join(_LETTERS[one] for one in model.abilities) or "none"
    return " ".join(model.abilities) or "none"


def _state(model: ModelInfo) -> str:
    if model.state == "unknown":
        return "-"
    return f"{model.state} {lasting(model.seconds)}" if model.seconds else model.state


def _may_style() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")

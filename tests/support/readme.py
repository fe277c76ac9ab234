"""The README as a person would follow it: its blocks, and whether a command shows what stands there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_BLOCK = re.compile(r"(?:^<!-- (?P<note>.*?) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
_KEY = re.compile(r"sk-shareai-[\w-]+")
_NUMBER = re.compile(r"\d+(?:[.,:-]\d+)*")
_HEX = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b|req_[0-9a-f]{16}")


@dataclass(frozen=True)
class Block:
    """One fenced block, with the note for its runner that stands before it."""

    kind: str
    note: str
    text: str


@dataclass(frozen=True)
class Step:
    """One command, and what it is to show."""

    command: str
    shown: str


def blocks() -> list[Block]:
    """Return every block in its order."""
    return [Block(one["kind"], one["note"] or "", one["text"]) for one in _BLOCK.finditer(README.read_text())]


def steps(block: Block) -> list[Step]:
    """Return the commands of a console block: lines after `$ `, joined at a backslash, and what they show."""
    found: list[Step] = []
    lines = block.text.splitlines()
    while lines:
        command = lines.pop(0)
        assert command.startswith("$ "), f"no command: {command}"
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0).strip()
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        found.append(Step(command[2:], "\n".join(shown)))
    return found


def assert_shows(shown: str, expected: str) -> None:
    """Hold that an output is as it stands there, but for numbers, keys, ids and spaces; `...` is anything."""
    pieces = [re.escape(_plain(piece)) for piece in re.split(r"\s*\.\.\.\s*", expected)]
    pattern = r"\s*" + r".*?".join(rf"\s*{piece}\s*" for piece in pieces) + r"\s*"
    assert re.fullmatch(pattern, _plain(shown), re.S), f"shown:\n{shown}\nin the README:\n{expected}"


def _plain(text: str) -> str:
    text = _HEX.sub("ID", _KEY.sub("KEY", text))
    return " ".join(_NUMBER.sub("0", text).split())

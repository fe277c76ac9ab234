"""Names typed wrongly are answered with the nearest known one, everywhere alike."""

from __future__ import annotations

import time
from pathlib import Path

import shareai_cli
from shareai_cli.nearest import nearest, suggestion


def test_the_nearest_name_is_found_and_none_where_none_is_like_it() -> None:
    """A swapped letter, a missing one; what is like nothing gets the list."""
    known = ("openai", "anthropic", "gemini")
    assert nearest("opneai", known) == "openai"
    assert nearest("gemni", known) == "gemini"
    assert nearest("zzz", known) is None
    assert suggestion("antropic", known) == "Did you mean anthropic?"
    assert suggestion("zzz", known) == "Known: openai, anthropic, gemini."
    assert suggestion("zzz", ()) == "Nothing can stand here."
    many = tuple(f"name-{number}" for number in range(500))
    assert suggestion("zzz", many).endswith("name-18, name-19 and 480 more.")


def test_long_names_and_many_take_bounded_time() -> None:
    """The gateway compares on its event loop, and clients choose what it compares."""
    began = time.perf_counter()
    nearest("x" * 1_000_000, (f"model-{number}" for number in range(1_000_000)))
    assert time.perf_counter() - began < 2.0


def test_there_is_one_place_where_names_are_compared() -> None:
    """So that every command is as forgiving as the others."""
    folder = Path(shareai_cli.__file__).parent
    using = [file.name for file in folder.rglob("*.py") if "get_close_matches" in file.read_text()]
    assert using == ["nearest.py"]

"""What checks are given in tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.cli.checks.finding import Finding, Subject
from shareai_cli.config import load_text
from shareai_cli.paths import find_paths
from shareai_cli.types import WallClock


def subject(
    home: Path, text: str = "", environ: Mapping[str, str] | None = None, wall: WallClock = lambda: 0.0
) -> Subject:
    """Return a subject whose files live in a home, and whose configuration is a text."""
    environ = environ or {}
    paths = find_paths({"SHAREAI_HOME": str(home)})
    settings = load_text(text, paths.config_file, environ, PRESETS)
    return Subject(paths, paths.config_file, environ, settings, wall=wall)


def said(findings: object) -> list[tuple[str, str]]:
    """Return names and levels."""
    assert isinstance(findings, list | tuple)
    assert all(isinstance(one, Finding) for one in findings)
    return [(one.name, one.level) for one in findings]

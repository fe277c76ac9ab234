from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import Settings, load_text

FILE = Path("/home/somebody/config.toml")

PLANTED = "sk-planted-7Hq2mZ9xR4vT1wKp8sLd3bNc"


def read(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration as if it stood in `FILE`."""
    return load_text(text, FILE, environ or {}, PRESETS)

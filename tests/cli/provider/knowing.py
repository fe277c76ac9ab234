"""What the providers of these tests know, and how they are declared without their being asked."""

from __future__ import annotations

import tomllib
from typing import Any

from shareai_cli.paths import Paths
from tests.support.check_server import CheckServer
from tests.support.commands import shareai

GOOD, BAD = "good-key-7Hq2mZ9xR4vT1wKp8sLd3bNc", "bad-key-4Jm9qX2wZ7tR5vYp1nKs8dLb"
OTHER = "good-key-of-the-next-quarter-9Xw2"
MODELS = b'{"object": "list", "data": [{"id": "a"}, {"id": "b", "x": 1}]}'


def knows_good(headers: dict[str, str]) -> tuple[int, bytes]:
    """Know two keys, whichever way they are presented, and repeat any other."""
    presented = (
        headers.get("x-api-key")
        or headers.get("api-key")
        or headers.get("authorization", "").removeprefix("Bearer ")
    )
    if presented in (GOOD, OTHER):
        return 200, MODELS
    return 401, f'{{"error": "{presented}"}}'.encode()


def declare(server: CheckServer, name: str, *variables: str) -> None:
    """Declare a provider with keys in these variables, good or not."""
    options = [item for variable in variables for item in ("--key-env", variable)]
    outcome = shareai("provider", "add", name, "--base-url", server.base_url, *options, "--no-check")
    assert outcome.code == 0


def declared(paths: Paths) -> dict[str, Any]:
    """Return `[providers]` as the file has it."""
    if not paths.config_file.exists():
        return {}
    return dict(tomllib.loads(paths.config_file.read_text()).get("providers", {}))


def kept(paths: Paths) -> list[str]:
    """Return the keys that are kept in files."""
    if not paths.secrets.exists():
        return []
    return [file.read_text().strip() for file in sorted(paths.secrets.iterdir())]

"""A provider that knows one key, and two variables, one of which holds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.provider.knowing import BAD, GOOD, knows_good
from tests.support.check_server import CheckServer, check_server


@pytest.fixture
def server() -> Iterator[CheckServer]:
    with check_server(knows_good) as running:
        yield running


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOD", GOOD)
    monkeypatch.setenv("BAD", BAD)

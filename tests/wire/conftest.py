"""Every test of this folder runs on both event loops."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import pytest_asyncio

from shareai_cli.wire.deadlines import Deadlines
from tests.support.certificates import Certificates, make_certificates
from tests.support.clock import FakeClock
from tests.wire.asking import Asking
from tests.wire.serving import Serving


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the event loops."""
    factories: dict[str, Callable[[], Any]] = {"asyncio": asyncio.SelectorEventLoop}
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock by which time limits pass."""
    return FakeClock()


@pytest_asyncio.fixture
async def asking(clock: FakeClock) -> AsyncIterator[Asking]:
    """Return what makes pools, whose time limits pass only when a test says so."""
    asking = Asking(Deadlines(3600.0, clock), clock)
    yield asking
    await asking.close()


@pytest_asyncio.fixture
async def serving(clock: FakeClock) -> AsyncIterator[Serving]:
    """Return what makes servers, whose time limits pass only when a test says so."""
    serving = Serving(clock)
    yield serving
    await serving.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority and a certificate for this machine."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))

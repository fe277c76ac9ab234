"""Real llama.cpp with the demo model and with the random one; skipped only where it is not installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from shareai_cli.llama.engine import Engine
    from tests.support.model_server import Running

collect_ignore_glob = [] if find_spec("llama_cpp") else ["test_*.py"]


@pytest.fixture(scope="session")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from shareai_cli.llama.demo.build import write_random

    path = tmp_path_factory.mktemp("models") / "random.gguf"
    write_random(path)
    return path


@pytest.fixture
def demo() -> Iterator[Engine]:
    from shareai_cli.llama.demo.build import DEMO_FILE
    from shareai_cli.llama.engine import Engine

    engine = Engine(str(DEMO_FILE), context=2048)
    yield engine
    engine.close()


@pytest.fixture
def open_random(random_file: Path) -> Iterator[Callable[..., Engine]]:
    """Open engines of the random model, which are closed with the test."""
    from shareai_cli.llama.engine import Engine

    engines: list[Engine] = []

    def opened(*, context: int, slots: int = 16, batch: int = 512) -> Engine:
        engines.append(Engine(str(random_file), context=context, slots=slots, batch=batch))
        return engines[-1]

    yield opened
    for engine in engines:
        engine.close()


@pytest.fixture
def random_engine(open_random: Callable[..., Engine]) -> Engine:
    return open_random(context=512)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """The demo model over HTTP."""
    from tests.support.model_server import serve

    async with serve() as served:
        yield served


@pytest.fixture
async def roomy() -> AsyncIterator[Running]:
    """The same, with a context to whose end no endless stream comes within a test."""
    from tests.support.model_server import CONTEXT, serve

    async with serve(32 * CONTEXT) as served:
        yield served


@pytest.fixture
async def random_running(random_file: Path) -> AsyncIterator[Running]:
    """The random model over HTTP."""
    from tests.support.model_server import serve

    async with serve(path=random_file) as served:
        yield served

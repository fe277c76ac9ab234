"""The demo model, served by real llama.cpp; tests of it are skipped only where that is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from shareai_cli.gateway.fleet import demo_model
from shareai_cli.types import LocalModel


@pytest.fixture
def demo() -> LocalModel:
    if find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    return demo_model()

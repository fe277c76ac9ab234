"""What this machine needs to serve models of its own."""

from __future__ import annotations

from importlib.util import find_spec

INSTALL_HINT = "pip install llama-cpp-python, or install shareai-cli with the extra 'llama'"
"""What adds llama.cpp, from a checkout as well as to an installed package."""


def has_llama() -> bool:
    """Return whether llama-cpp-python is installed, without importing it."""
    return find_spec("llama_cpp") is not None

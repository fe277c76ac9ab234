"""`python -m shareai_cli.llama.about`: what the installed llama.cpp is and computes on, as one line of JSON.

A process of its own asks it, so that a broken library ends that process alone.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_COMPUTES_ELSEWHERE = (1, 2)
"""`GGML_BACKEND_DEVICE_TYPE_GPU` and `_IGPU` (ggml-backend.h)."""


def describe() -> dict[str, Any]:
    """Return the version, whether layers can be put on a GPU, and the GPUs that it sees."""
    import llama_cpp

    return {
        "version": llama_cpp.__version__,
        "gpu_support": bool(llama_cpp.llama_supports_gpu_offload()),
        "gpus": _gpus(),
    }


def _gpus() -> list[str]:
    from llama_cpp._ggml import libggml as ggml

    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    devices = [ggml.ggml_backend_dev_get(number) for number in range(ggml.ggml_backend_dev_count())]
    return [
        (ggml.ggml_backend_dev_description(device) or b"GPU").decode("utf-8", "replace")
        for device in devices
        if ggml.ggml_backend_dev_type(device) in _COMPUTES_ELSEWHERE
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(describe()) + "\n")

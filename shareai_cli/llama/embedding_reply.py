"""OpenAI's object for embeddings. Reference: https://platform.openai.com/docs/api-reference/embeddings/object"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from shareai_cli.llama.bodies.embedding import EmbeddingBody
from shareai_cli.llama.embedding import Vector, normalised


def embeddings_object(body: EmbeddingBody, vectors: Sequence[Vector], tokens: int) -> bytes:
    """Encode vectors as a body asks: `dimensions` cuts them off, `base64` takes their 32-bit floats."""
    data = [
        {"object": "embedding", "index": index, "embedding": _written(body, vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "model": body.model, "data": data, "usage": usage})


def _written(body: EmbeddingBody, vector: Vector) -> Any:
    if body.dimensions is not None and body.dimensions < len(vector):
        vector = normalised(vector[: body.dimensions])
    if body.encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return vector.tolist()

"""The body of `POST /v1/embeddings`, checked field by field.

Reference: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from shareai_cli.llama.bodies.generation import decode


class EmbeddingBody(Struct, frozen=True, kw_only=True):
    """The fields that this server knows."""

    model: Annotated[str, Meta(min_length=1)]
    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


_decoder = msgspec.json.Decoder(EmbeddingBody)


def decode_embedding(body: bytes) -> EmbeddingBody:
    """Decode a body; `MalformedRequest` names the field that is wrong."""
    return decode(body, _decoder, "a request for embeddings")

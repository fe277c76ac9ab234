"""Texts as clients give them: one or many, as strings or as the numbers of tokens."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.bodies.generation import Token

MOST = 2048
"""Texts of one request, as in OpenAI's interface."""

_Tokens = Annotated[list[Token], Meta(min_length=1)]
_Texts = Annotated[list[str], Meta(min_length=1, max_length=MOST)]
_TokenLists = Annotated[list[_Tokens], Meta(min_length=1, max_length=MOST)]


def texts_of(value: Any, field: str) -> list[str | list[int]]:
    """Return the texts of a field that holds one of the four forms; `MalformedRequest` for anything else."""
    first = value[0] if isinstance(value, list) and value else None
    kind: Any = str
    if isinstance(first, str):
        kind = _Texts
    elif isinstance(first, list):
        kind = _TokenLists
    elif isinstance(value, list):
        kind = _Tokens
    try:
        found = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise MalformedRequest(
            f"The field '{field}' is wrong: it is a text, a list of texts, or the same as numbers of tokens "
            f"({str(error)[:100]}).",
            param=field,
        ) from None
    return [found] if kind in (str, _Tokens) else list(found)

"""Text of models on its way to a terminal."""

from __future__ import annotations

import re

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but line feed and tab, what turns the direction of writing round, lone surrogates."""


def harmless(text: str) -> str:
    """Return a text without what could steer a terminal or show another text than there is.

    What joins characters into one (as in many emoji) stays, unlike in `console.printable`.
    """
    return _STEERING.sub("�", text.replace("\r", ""))

"""A key is hidden in whatever spelling an upstream repeats it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from shareai_cli.gateway.hiding import without_key

KEY = "abcd/EFGH1234/ijkl+MNOP=5678"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "slashes escaped": lambda key: key.replace("/", "\\/"),
    "slashes by number": lambda key: key.replace("/", "\\u002f"),
    "all by number": lambda key: "".join(f"\\u{ord(one):04X}" for one in key),
    "JSON within JSON": lambda key: json.dumps(key.replace("/", "\\/"))[1:-1],
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded in lower case": lambda key: key.replace("/", "%2f"),
    "percent-encoded twice": lambda key: quote(quote(key, safe=""), safe=""),
    "for HTML": lambda key: html.escape(key).replace("/", "&#x2F;"),
    "for HTML in decimals": lambda key: key.replace("/", "&#47;").replace("=", "&#061;"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_hidden_however_it_is_spelled(spelling: str) -> None:
    """JSON's escapes, also of JSON within JSON, percent signs and HTML's references spell the same key."""
    before, after = b'{"a": "bad ', b' \\"there\\""}'
    assert without_key(before + SPELLINGS[spelling](KEY).encode() + after, KEY) == before + b"[key]" + after


@pytest.mark.parametrize("spelled", [b"caf\xe9", b"caf\xc3\xa9", b"caf\\u00E9", b"caf%e9", b"caf%C3%A9"])
def test_a_key_beyond_ascii_is_hidden(spelled: bytes) -> None:
    """A header carries Latin-1, a body mostly UTF-8."""
    assert without_key(b"<" + spelled + b">", "caf\xe9") == b"<[key]>"


def test_what_holds_no_key_stays_byte_for_byte() -> None:
    """Escapes, broken ones too, are nobody's business then."""
    body = b'{"a": "\\u0061bcd\\/EFGH \\ud800 %zz %", "b": 1e400} \xff'
    assert without_key(body, KEY) == body


@pytest.mark.parametrize("filler", [b"\\", b"%25", b"&#0"])
def test_a_long_run_of_escapes_hides_no_key(filler: bytes) -> None:
    """Nor does it take longer than its length: a megabyte is read in one pass."""
    body = filler * ((1 << 20) // len(filler))
    assert without_key(body + b" a\\/b", "a/b") == body + b" [key]"

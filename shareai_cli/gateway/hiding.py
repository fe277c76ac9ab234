"""Taking a provider's key out of what its upstream sent back, however the upstream spelled it."""

from __future__ import annotations

import re

HIDDEN = b"[key]"

_may_spell = re.compile(rb"[\\%&\x80-\xff]").search
"""Without any of these, every character stands for itself."""


def without_key(data: bytes, key: str) -> bytes:
    r"""Return `data` with the key hidden, everything else byte for byte as it was.

    A character counts in any spelling: as it is, behind backslashes or as `\uXXXX` (RFC 8259, 7), also of
    JSON within JSON, percent-encoded (RFC 3986, 2.1), or as a reference of HTML's.
    """
    if not _may_spell(data):
        return data.replace(key.encode("latin-1"), HIDDEN)
    spellings = {character: _spellings(character) for character in set(key)}
    return re.sub(b"".join([spellings[character] for character in key]), HIDDEN, data)


def _spellings(character: str) -> bytes:
    """Return a pattern for one character; each choice begins with a fixed byte, so that it is found fast."""
    forms = {character.encode(encoding) for encoding in ("latin-1", "utf-8")}
    plain = b"|".join(map(re.escape, forms))
    percent = b"|".join(b"%(?:25){0,8}".join(map(_hexadecimal, form)) for form in forms)
    code = ord(character)
    unicode, reference = _hexadecimal(code), b"#0{0,8}%d|#[xX]0{0,8}%b" % (code, _hexadecimal(code))
    return b"(?:%b|%%(?:25){0,8}(?:%b)|\\\\{1,8}(?:%b|u00%b)|&(?:%b);)" % (
        plain, percent, plain, unicode, reference,
    )  # fmt: skip


def _hexadecimal(code: int) -> bytes:
    digits = b"%02x" % code
    return b"".join(b"[%c%c]" % (one, one - 32) if one > 57 else b"%c" % one for one in digits)

"""The request's JSON body: read once to its top-level fields, whose values stay the client's bytes.

Decoding to raw values and encoding again settles duplicate keys, so that this process and the upstream
see the same `model`; the values themselves are never rebuilt.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from shareai_cli.errors import MalformedRequest, UnsupportedMediaType

Fields = dict[str, Raw]

_fields_decoder = msgspec.json.Decoder(Fields)
_string_decoder = msgspec.json.Decoder(str)
_flag_decoder = msgspec.json.Decoder(bool | None)
_encoder = msgspec.json.Encoder()

DIAGNOSED_BYTES = 1 << 20
"""A larger broken body is refused without saying which field is wrong: finding it would hold up others."""

_ARRAY = ord("[")
_TEXT = (_ARRAY, ord('"'))

NESTING = 500
"""The depth beyond which a body is called too deep where its field is looked for."""

_token = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def check_content_type(content_type: bytes | None) -> None:
    """Raise `UnsupportedMediaType` unless the body says that it is JSON, or says nothing."""
    if content_type is None or content_type == b"application/json":
        return
    media_type = content_type.split(b";", 1)[0].strip().lower()
    if media_type == b"application/json" or media_type.endswith(b"+json"):
        return
    shown = media_type[:60].decode("latin-1")
    raise UnsupportedMediaType(
        f"The body's Content-Type is {shown!r}; this path takes application/json.",
        hint="Send the header 'Content-Type: application/json'.",
        param="Content-Type",
    )


def decode_fields(body: bytes) -> Fields:
    """Decode a JSON object to its top-level fields; `MalformedRequest` names the field that is wrong."""
    try:
        if not body.isascii():
            body.decode()
        return _fields_decoder.decode(body)
    except msgspec.ValidationError:
        raise MalformedRequest("The body is JSON, but not an object like {...}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _diagnose(body, error) from None


def encode_fields(fields: Fields) -> bytes:
    """Encode the fields again, each value byte for byte as it came."""
    return _encoder.encode(fields)


def raw_string(text: str) -> Raw:
    """Encode `text` as the raw value of a field."""
    return Raw(_encoder.encode(text))


def required_string(fields: Fields, name: str, longest: int) -> str:
    """Return a field that has to be a string of 1 to `longest` characters."""
    raw = fields.get(name)
    if raw is None:
        raise MalformedRequest(f"The field '{name}' is missing.", param=name)
    try:
        value = _string_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise MalformedRequest(f"The field '{name}' has to be a string.", param=name) from None
    if not 0 < len(value) <= longest:
        raise MalformedRequest(f"The field '{name}' has to have 1 to {longest} characters.", param=name)
    return value


def optional_flag(fields: Fields, name: str) -> bool:
    """Return a field that has to be true, false or null; absent and null are false."""
    raw = fields.get(name)
    if raw is None:
        return False
    try:
        return bool(_flag_decoder.decode(raw))
    except msgspec.MsgspecError:
        raise MalformedRequest(f"The field '{name}' has to be true or false.", param=name) from None


def required_array(fields: Fields, name: str) -> Raw:
    """Return the raw value of a field that has to be an array."""
    raw = fields.get(name)
    if raw is None:
        raise MalformedRequest(f"The field '{name}' is missing.", param=name)
    if not starts_array(raw):
        raise MalformedRequest(f"The field '{name}' has to be an array.", param=name)
    return raw


def required_text(fields: Fields, name: str) -> Raw:
    """Return the raw value of a field that has to be a string or an array, of strings or of tokens."""
    raw = fields.get(name)
    if raw is None:
        raise MalformedRequest(f"The field '{name}' is missing.", param=name)
    if memoryview(raw)[0] not in _TEXT:
        raise MalformedRequest(f"The field '{name}' has to be a string or an array.", param=name)
    return raw


def prompt_of(fields: Fields) -> Raw:
    """Return the raw value of what the model reads: one of a request's fields has been checked to hold it."""
    raw = fields.get("messages")
    if raw is None:
        raw = fields.get("prompt")
    return fields["input"] if raw is None else raw


def starts_array(raw: Raw) -> bool:
    """Whether a raw value is an array; its bytes, which may be many, are not copied."""
    return memoryview(raw)[0] == _ARRAY


def optional_object(fields: Fields, name: str) -> Fields | None:
    """Return the fields of a field that has to be an object or null."""
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        return _fields_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedRequest(f"The field '{name}' has to be an object.", param=name) from None


def _diagnose(body: bytes, error: Exception) -> MalformedRequest:
    """Say what is wrong with a body that does not decode, and in which field, where that can be found."""
    if not body.strip():
        return MalformedRequest("The body is empty; this path takes a JSON object.")
    if isinstance(error, RecursionError):
        field = _too_deep(body)
        place = f" in the field '{field}'" if field else ""
        return MalformedRequest(f"The JSON is nested too deeply{place}.", param=field)
    if len(body) <= DIAGNOSED_BYTES:
        try:
            value = json.loads(body.decode("utf-8", "surrogateescape"))
        except RecursionError:
            field = _too_deep(body)
            return MalformedRequest("The JSON is nested too deeply.", param=field)
        except ValueError as mistake:
            return MalformedRequest(f"The body is not JSON: {mistake}.")
        for path, fault in _faults(value):
            return MalformedRequest(f"The field '{path}' {fault}.", param=path)
    return MalformedRequest("The body is not JSON (RFC 8259).")


def _faults(root: object) -> Iterator[tuple[str, str]]:
    """Walk what Python's decoder lets pass and JSON does not: NaN, infinities, halves of surrogate pairs."""
    stack: list[tuple[str, object]] = [("", root)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            yield path, "is NaN or infinite, which JSON does not have"
        elif isinstance(value, str) and not _encodable(value):
            yield path, "is not valid Unicode (invalid UTF-8 or a lone surrogate)"
        elif isinstance(value, list):
            stack.extend((f"{path}[{index}]", item) for index, item in enumerate(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                name = key.encode("utf-8", "replace").decode()
                child = f"{path}.{name}" if path else name
                if not _encodable(key):
                    yield child, "has a name that is not valid Unicode"
                stack.append((child, item))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(body: bytes) -> str | None:
    """Return the top-level field in which the nesting passes `NESTING`."""
    depth = 0
    name: bytes | None = None
    for match in _token.finditer(body, 0, DIAGNOSED_BYTES):
        token = match.group()
        if token in b"[{":
            depth += 1
            if depth > NESTING:
                break
        elif token in b"]}":
            depth -= 1
        elif depth == 1:
            name = token
    return name[1:-1].decode("utf-8", "replace")[:60] if name and depth > NESTING else None

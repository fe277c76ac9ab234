"""Secrets, which cannot be printed, and the references that configuration names them by."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NoReturn, get_args

from msgspec import Struct

from shareai_cli.errors import ConfigurationError
from shareai_cli.paths import absolute

MASK = "********"
CLIENT_KEY_PREFIX = "sk-shareai-"
KEY_LENGTH_LIMIT = 4096
"""Characters; longer than any provider's key, shorter than any head's limit."""

ReferenceKind = Literal["env", "file", "keyring"]
REFERENCE_FORMS = "env:VARIABLE, file:PATH or keyring:SERVICE/NAME"

_LONGEST_NAME = 512
"""Characters; what is longer is nobody's name for anything, and not looked through."""

_LONGEST_MESSAGE = 10_000

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_KNOWN_KEY = re.compile(r"(sk|pk|rk|gsk|hf|xai|r8|nvapi|fw|pplx|csk|tgp)[-_]\S{8,}|AIza\S{16,}|eyJ\S{16,}")
_WORD = re.compile(r"[A-Za-z0-9+/=_.-]{8,}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RANDOM = re.compile(r"(?=[A-Za-z0-9+=]*[0-9])(?=[A-Za-z0-9+=]*[a-z])[A-Za-z0-9+=]{20,}")
"""A run without a separator: names of models and files have shorter ones."""


class Secret:
    """A text that no `repr`, `str`, format, pickle or encoder gives away; `reveal` alone does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text, to be sent and never to be shown."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell one secret from another and give nothing away."""
        return hashlib.sha256(self._value.encode("utf-8", "surrogatepass")).hexdigest()[:8]

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        ours, theirs = (one._value.encode("utf-8", "surrogatepass") for one in (self, other))
        return hmac.compare_digest(ours, theirs)

    __hash__ = None  # type: ignore[assignment]  # a dict or set would compare in varying time

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not to be serialised")


class SecretReference(Struct, frozen=True):
    """Where a secret is kept: harmless to show."""

    kind: ReferenceKind
    location: str

    @property
    def name(self) -> str:
        """The reference as configuration writes it."""
        return f"{self.kind}:{self.location}"

    def located(self, folder: Path) -> SecretReference:
        """Return it with a file's path made absolute, so that it means the same in every working folder."""
        if self.kind != "file":
            return self
        return SecretReference("file", str(absolute(Path(self.location), folder)))


def looks_like_key(text: str) -> bool:
    """Tell whether a text may be a key itself, so that no message repeats it."""
    if len(text) > _LONGEST_NAME:
        return True
    return bool(_KNOWN_KEY.match(text) or _RANDOM.search(text) or _UUID.search(text))


def conceal(text: str) -> str:
    """Mask every word of a text that may be a key: for messages that this package did not write."""
    return _WORD.sub(lambda word: MASK if looks_like_key(word[0]) else word[0], text[:_LONGEST_MESSAGE])


def parse_reference(text: str) -> SecretReference:
    """Read a reference; `ConfigurationError` never repeats the text, which may be a key."""
    kind, separator, location = text.partition(":")
    if not separator or kind not in get_args(ReferenceKind):
        raise ConfigurationError(
            "A key is named by where it is kept, never written out.",
            hint=f"Write {REFERENCE_FORMS}. If this was a key, consider it seen and replace it.",
        )
    if looks_like_key(location):
        raise ConfigurationError(
            f"What follows '{kind}:' looks like a key, not like the place where one is kept.",
            hint=f"Write {REFERENCE_FORMS}. If this was a key, consider it seen and replace it.",
        )
    if kind == "env" and not _VARIABLE.fullmatch(location):
        raise ConfigurationError("'env:' is followed by the name of a variable, such as env:OPENAI_API_KEY.")
    if kind == "file" and (not location.strip() or not location.isprintable() or len(location) > 4096):
        raise ConfigurationError("'file:' is followed by the path of a file, such as file:~/openai.key.")
    if kind == "keyring" and not _is_keyring_entry(location):
        raise ConfigurationError(
            "'keyring:' is followed by a service and a name, such as keyring:openai/work."
        )
    return SecretReference(kind, location)  # type: ignore[arg-type]  # checked above


def resolve(reference: SecretReference, environ: Mapping[str, str]) -> Secret:
    """Fetch a secret; `ConfigurationError` says which variable, file or entry is missing or unusable."""
    text, source = _fetch(reference, environ)
    found = check_key_text(text)
    if found is None:
        raise ConfigurationError(
            f"{source} does not hold a key, which is one line of printable ASCII.",
            hint="Store the key again, without spaces or line breaks.",
        )
    return found


def resolve_header(reference: SecretReference, environ: Mapping[str, str]) -> Secret:
    """Fetch a header field's value, which may have spaces in it; raises as `resolve` does."""
    text, source = _fetch(reference, environ)
    text = text.strip()
    if not text or len(text) > KEY_LENGTH_LIMIT or not (text.isascii() and text.isprintable()):
        raise ConfigurationError(
            f"{source} does not hold a header field's value, which is one line of printable ASCII.",
            hint="Store the value again, without line breaks.",
        )
    return Secret(text)


def _fetch(reference: SecretReference, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what is kept at a place, and that place in words."""
    if reference.kind == "env":
        text = environ.get(reference.location, "")
        if not text.strip():
            raise ConfigurationError(
                f"The variable {reference.location} is not set.",
                hint=f"Set it, or name the key differently: {REFERENCE_FORMS}.",
            )
        return text, f"The variable {reference.location}"
    if reference.kind == "file":
        path = absolute(Path(reference.location))
        return _read_private(path), f"The file {path}"
    return _from_keyring(reference.location), f"The keyring's entry {reference.location}"


def check_key_text(text: str) -> Secret | None:
    """Return the key in a text, surrounding white space left out; None where a header cannot carry it."""
    text = text.strip()
    if not text or len(text) > KEY_LENGTH_LIMIT or not all("!" <= character <= "~" for character in text):
        return None
    return Secret(text)


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, replacing it in one step; raises `OSError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def new_client_key() -> Secret:
    """Make a key for a client: 256 bits from the system's generator."""
    return Secret(CLIENT_KEY_PREFIX + secrets.token_urlsafe(32))


def shown_key(key: Secret) -> str:
    """Return what lists show of a client's key, so that a person can tell which one it is."""
    return f"{key.reveal()[: len(CLIENT_KEY_PREFIX) + 4]}..."


def digest(presented: bytes) -> bytes:
    """Return the SHA-256 (32 bytes) under which a client's key is stored and looked up."""
    return hashlib.sha256(presented).digest()


def _is_keyring_entry(location: str) -> bool:
    service, separator, name = location.rpartition("/")
    return bool(separator and service and name) and location.isprintable() and len(location) <= 256


def _read_private(path: Path) -> str:
    try:
        # O_NONBLOCK: a named pipe is refused below instead of waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no file {path}.", hint="It should hold a provider's key."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not possible"
        raise ConfigurationError(f"The file {path} cannot be read: {reason}.") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigurationError(f"{path} is not a file that could hold a key.")
        if sys.platform != "win32" and facts.st_mode & 0o077:
            raise ConfigurationError(
                f"The file {path} holds a key and is open to others (mode {facts.st_mode & 0o777:04o}).",
                hint=f"chmod 600 {path}",
            )
        return os.read(descriptor, KEY_LENGTH_LIMIT + 64).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(f"The file {path} cannot be read: {error.strerror}.") from None
    finally:
        os.close(descriptor)


def _from_keyring(location: str) -> str:
    service, _, name = location.rpartition("/")
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise ConfigurationError(
            f"keyring:{location} needs the package 'keyring', which is not installed.",
            hint="pip install keyring, or use env: or file:.",
        ) from None
    try:
        found = keyring.get_password(service, name)
    except Exception as error:  # a backend raises what it likes; what it says may hold the secret
        raise ConfigurationError(
            f"The keyring cannot be read for {location} ({type(error).__name__}).",
            hint="A machine without a desktop often has none: use env: or file:.",
        ) from None
    if not isinstance(found, str) or not found:
        raise ConfigurationError(
            f"The keyring has no entry {location}.", hint=f"keyring set {service} {name}"
        )
    return found

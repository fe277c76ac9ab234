"""Where keys are kept that were typed or piped in: the system's keyring where one works, else 0600 files.

A keyring is usable once it gave back what it was given: one that is locked, missing or a dummy does not.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from shareai_cli.errors import StateError
from shareai_cli.paths import make_private_folder
from shareai_cli.secrets import Secret, SecretReference, write_private

SERVICE: Final = "shareai"
"""Under this name a keyring lists what this program keeps there."""


class Kept(Struct, frozen=True):
    """Where a key was put."""

    reference: SecretReference
    is_new: bool
    """False where the same key was there already."""


class KeyStore:
    """Keeps keys in the keyring or in a folder, and takes away again what it keeps, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<KeyStore {self._folder}>"

    def place(self, provider: str, secret: Secret) -> SecretReference:
        """Return the file that a provider's key would be kept in."""
        return SecretReference("file", str(self._folder / f"{_name(provider, secret)}.key"))

    def keep(self, provider: str, secret: Secret) -> Kept:
        """Keep a key; raises `StateError` where neither a keyring nor the folder takes it."""
        return _keep_in_keyring(_name(provider, secret), secret) or self._keep_in_file(provider, secret)

    def keeps(self, reference: SecretReference) -> bool:
        """Tell whether a place is one of these, and no place of a person's own."""
        if reference.kind == "keyring":
            return reference.location.rpartition("/")[0] == SERVICE
        return reference.kind == "file" and Path(reference.location).parent == self._folder

    def forget(self, reference: SecretReference) -> None:
        """Delete a key if it is kept here; one that is gone already is none to complain of."""
        if not self.keeps(reference):
            return
        if reference.kind == "keyring":
            _delete_from_keyring(reference.location.rpartition("/")[2])
        else:
            with suppress(OSError):
                Path(reference.location).unlink()

    def _keep_in_file(self, provider: str, secret: Secret) -> Kept:
        reference = self.place(provider, secret)
        file = Path(reference.location)
        make_private_folder(self._folder)
        is_new = not file.exists()
        try:
            write_private(file, f"{secret.reveal()}\n")
        except OSError as error:
            raise StateError(f"{file} cannot be written: {error.strerror}.") from None
        return Kept(reference, is_new)


def _name(provider: str, secret: Secret) -> str:
    return f"{provider}-{secret.fingerprint}"


def _keep_in_keyring(name: str, secret: Secret) -> Kept | None:
    """Keep a key in the keyring; None where there is none that gives it back."""
    keyring = _keyring()
    if keyring is None:
        return None
    reference = SecretReference("keyring", f"{SERVICE}/{name}")
    try:
        if keyring.get_password(SERVICE, name) == secret.reveal():
            return Kept(reference, is_new=False)
        keyring.set_password(SERVICE, name, secret.reveal())
        if keyring.get_password(SERVICE, name) == secret.reveal():
            return Kept(reference, is_new=True)
    except Exception:  # a backend raises what it likes; what it says may hold the secret
        _delete_from_keyring(name)
    return None


def _delete_from_keyring(name: str) -> None:
    keyring = _keyring()
    if keyring is not None:
        with suppress(Exception):  # a backend raises what it likes, also where there is nothing to delete
            keyring.delete_password(SERVICE, name)


def _keyring() -> Any:
    """Return the package, which is an extra; None where it is not installed or cannot be used at all."""
    try:
        return importlib.import_module("keyring")
    except Exception:  # what a backend needs may be broken, and is imported with it
        return None

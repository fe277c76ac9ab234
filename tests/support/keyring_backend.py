"""Keyrings for tests, chosen by `PYTHON_KEYRING_BACKEND`: one that works, and one that only says so.

The one that works keeps its entries in the file that `TEST_KEYRING_FILE` names, so that several processes
have the same.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class WorkingKeyring(KeyringBackend):
    """Keeps what it is given."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        _write({**entries(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        found = entries()
        if found.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("not there")
        _write(found)


class LockedKeyring(WorkingKeyring):
    """Takes nothing, and says too much."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(f"locked, and so {password} is not kept")


class ForgetfulKeyring(WorkingKeyring):
    """Says that it keeps what it is given."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


def entries(file: Path | None = None) -> dict[str, str]:
    """Return what is kept, by service and name."""
    file = file or Path(os.environ["TEST_KEYRING_FILE"])
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _write(found: dict[str, str]) -> None:
    Path(os.environ["TEST_KEYRING_FILE"]).write_text(json.dumps(found))

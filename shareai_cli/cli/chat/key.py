"""The key that chat presents to this machine's gateway.

It is a client's key as any other, made through the admin interface when chat is first used, and kept 0600 in
the state folder. Whoever can read that folder can make keys anyway, so the file gives nothing away; and
what is asked from the terminal stands under this key's name in the accounts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from shareai_cli.client import Admin
from shareai_cli.errors import StateError
from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret, SecretReference, resolve, write_private

NAME = "chat"


def own_key(paths: Paths, admin: Admin) -> Secret:
    """Return chat's key, made now where there is none; `ConfigurationError` where its file is not private."""
    file = paths.chat_key_file
    return resolve(SecretReference("file", str(file)), {}) if file.exists() else new_key(paths, admin)


def new_key(paths: Paths, admin: Admin) -> Secret:
    """Make a key and keep it in the place of the former one; raises `StateError`."""
    taken = {one.name for one in admin.list_keys() if one.revoked_ms is None}
    made = admin.create_key(next(name for name in _names() if name not in taken))
    file = paths.chat_key_file
    try:
        write_private(file, made.key + "\n")
    except OSError as error:
        admin.revoke_key(made.info.name)
        raise StateError(f"{file} cannot be written: {error.strerror}.") from None
    return Secret(made.key)


def _names() -> Iterator[str]:
    """Yield names: a person may have given the first one to a key of another program's."""
    yield NAME
    for number in itertools.count(2):
        yield f"{NAME}-{number}"

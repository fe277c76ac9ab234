"""Fetches a large file over HTTP: it goes on where it broke off, and its hash is checked."""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from shareai_cli.cli.model.quants import HubFile
from shareai_cli.errors import MalformedReply, PermissionRefused, StateError, UpstreamError

TRIES: Final = 5
"""How often in a row a connection may break off without having brought anything."""

SPARE_BYTES: Final = 64 << 20
"""What is left of a disk at least."""

TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)

_PIECE = 1 << 20
_KEPT = "What there is of it is kept: the same command goes on from there."
_REFUSALS: Final = (401, 403)


class Fetch:
    """One file on its way; `reached` is told how many bytes of it there are, `sleep` waits between tries."""

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        file: HubFile,
        *,
        headers: Mapping[str, str],
        reached: Callable[[int], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._url = url
        self._file = file
        self._headers = dict(headers)
        self._reached = reached
        self._sleep = sleep
        self._digest = hashlib.sha256()
        self._there = 0

    def __repr__(self) -> str:
        return f"<Fetch {self._file.name} [{self._there} of {self._file.size}]>"

    def complete(self, partial: Path) -> None:
        """Fetch what a file, which has to be there, does not have yet; it is whole and checked then.

        Raises `UpstreamError` where there is no connection, `MalformedReply` where the file is not what it
        should be, and was removed, `StateError` where the disk has no room, `PermissionRefused`.
        """
        try:
            with partial.open("r+b") as stream:
                self._take_up(stream)
                check_room(partial.parent, self._file.size - self._there)
                self._fetch(stream)
            if self._digest.hexdigest() != self._file.sha256:
                partial.unlink()
                raise MalformedReply(
                    f"{self._file.name} came otherwise than the hub says it is, and was removed.",
                    hint="The same command fetches it anew.",
                )
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StateError(f"The disk of {partial.parent} is full.", hint=_KEPT) from None
            raise StateError(f"{partial} cannot be written: {error.strerror}.") from None

    def _take_up(self, stream: BinaryIO) -> None:
        """Go on from what there is, whose hash begins that of the whole."""
        while piece := stream.read(_PIECE):
            self._add(piece)
        if self._there > self._file.size:
            self._begin_anew(stream)

    def _begin_anew(self, stream: BinaryIO) -> None:
        stream.seek(0)
        stream.truncate()
        self._digest = hashlib.sha256()
        self._there = 0

    def _add(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._there += len(piece)
        self._reached(self._there)

    def _fetch(self, stream: BinaryIO) -> None:
        tries = 0
        while self._there < self._file.size:
            before, problem = self._there, "the connection ended before the file did"
            try:
                self._ask(stream)
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            tries = 0 if self._there > before else tries + 1
            if tries == TRIES:
                raise UpstreamError(
                    f"{self._file.name} could not be fetched to its end: {problem.rstrip('.')}.", hint=_KEPT
                )
            if self._there < self._file.size:
                self._sleep(2.0**tries)

    def _ask(self, stream: BinaryIO) -> None:
        """Ask for what is missing, and take as much as comes."""
        # Of what a server compressed, nobody could tell where it goes on.
        headers = {**self._headers, "Range": f"bytes={self._there}-", "Accept-Encoding": "identity"}
        with self._client.stream(
            "GET", self._url, headers=headers, follow_redirects=True, timeout=TIMEOUT
        ) as reply:
            self._check(reply)
            if reply.status_code == 200 or not self._goes_on(reply):
                self._begin_anew(stream)
            if reply.status_code == 206 and not self._goes_on(reply):
                return
            # As they come: what was read before a connection breaks off is kept.
            for piece in reply.iter_raw():
                if self._there + len(piece) > self._file.size:
                    raise MalformedReply(f"{self._file.name} is larger than the hub says it is.")
                stream.write(piece)
                self._add(piece)

    def _goes_on(self, reply: httpx.Response) -> bool:
        """Tell whether a part of the file begins where the one that is there ends."""
        return str(reply.headers.get("Content-Range", "")).startswith(f"bytes {self._there}-")

    def _check(self, reply: httpx.Response) -> None:
        if reply.status_code in (200, 206):
            return
        if reply.status_code in _REFUSALS:
            raise PermissionRefused(f"The hub refuses {self._file.name} (HTTP {reply.status_code}).")
        raise UpstreamError(
            f"The hub answers HTTP {reply.status_code} to the request for {self._file.name}.", hint=_KEPT
        )


def check_room(folder: Path, needed: int) -> None:
    """Raise `StateError` where a disk has no room for so many bytes more."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        from shareai_cli.discovery.proposal import in_bytes

        raise StateError(
            f"{in_bytes(needed)} are to be fetched, and the disk of {folder} has {in_bytes(free)} free.",
            hint="HF_HUB_CACHE names a folder on another disk.",
        )

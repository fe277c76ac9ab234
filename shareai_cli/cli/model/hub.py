"""The Hugging Face hub: what a repository has, and a place for it in the cache that other programs share.

Its own library (huggingface.co/docs/huggingface_hub) knows the hub's addresses, tokens and the layout of the
cache. Files are fetched here, as it neither goes on with one that broke off, nor checks what it became.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import httpx
from msgspec import Struct

from shareai_cli import __version__
from shareai_cli.cli.model.fetching import Fetch, check_room
from shareai_cli.cli.model.quants import HubFile, Offer
from shareai_cli.errors import (
    AlreadyRunning,
    AuthenticationFailed,
    ConnectionRefused,
    PermissionRefused,
    ShareAIError,
    StateError,
    UpstreamError,
    UsageError,
)
from shareai_cli.file_lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL_HINT: Final = "pip install huggingface_hub, or install shareai-cli with the extra 'llama'"

SECONDS: Final = 20.0
MOST_FILES: Final = 10_000

_REPOSITORY = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95})(?::(?P<quant>[\w.-]{1,128}))?"
)
_ADDRESS = re.compile(r"^(?:https?://)?(?:huggingface\.co|hf\.co)/")
_HASH = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Wanted(Struct, frozen=True):
    """What is to be fetched."""

    repository: str
    quant: str | None = None


class Repository(Struct, frozen=True):
    """What a repository holds at one commit."""

    name: str
    commit: str
    files: tuple[HubFile, ...]


def parse_wanted(text: str) -> Wanted:
    """Read `REPOSITORY[:QUANT]`, also as the hub's own pages have it; raises `UsageError`."""
    from shareai_cli.config.reading import shown

    found = _REPOSITORY.fullmatch(_ADDRESS.sub("", text.strip()).rstrip("/"))
    if found is None:
        raise UsageError(
            f"{shown(text)} is no repository of the Hugging Face hub.",
            hint="shareai model pull ggml-org/gemma-3-4b-it-GGUF:Q4_K_M",
        )
    return Wanted(found["name"], found["quant"])


def prepare_library() -> None:
    """Have the hub's library tell nobody what else is installed here; `StateError` where it is not."""
    if find_spec("huggingface_hub") is None:
        raise StateError("huggingface_hub, which fetches models, is not installed here.", hint=INSTALL_HINT)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def look_up(repository: str, revision: str | None) -> Repository:
    """Ask the hub what a repository has; raises `ShareAIError`."""
    from huggingface_hub import HfApi

    with _translated(repository):
        info = HfApi(library_name="shareai", library_version=__version__).model_info(
            repository, revision=revision, files_metadata=True, timeout=SECONDS
        )
        files = tuple(
            HubFile(one.rfilename, one.lfs.size, one.lfs.sha256)
            for one in (info.siblings or ())[:MOST_FILES]
            if one.lfs is not None and _is_name(one.rfilename) and _HASH.fullmatch(one.lfs.sha256)
        )
    if not _COMMIT.fullmatch(info.sha or ""):
        raise UpstreamError(f"The hub does not tell at which commit {repository} is.")
    return Repository(repository, info.sha or "", files)


def fetch(
    repository: Repository,
    offer: Offer,
    reached: Callable[[int], None],
    *,
    client: httpx.Client | None = None,
) -> Path:
    """Fetch the files of a model into the hub's cache, and return the first; `reached` is told of all bytes.

    Raises `ShareAIError`.
    """
    from huggingface_hub import get_token, hf_hub_download, hf_hub_url

    blobs = _folder(repository) / "blobs"
    token = get_token()
    headers = {"User-Agent": f"shareai/{__version__}"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    done = 0

    def reached_of_file(there: int) -> None:
        reached(done + there)

    with _translated(repository.name), client or httpx.Client() as asking:
        blobs.mkdir(parents=True, exist_ok=True)
        lacking = [file for file in offer.files if not _has(blobs, file)]
        check_room(blobs, sum(file.size - _begun(blobs, file) for file in lacking))
        for file in offer.files:
            if file in lacking:
                url = hf_hub_url(repository.name, file.name, revision=repository.commit)
                fetching = Fetch(asking, url, file, headers=headers, reached=reached_of_file)
                _fetch_blob(fetching, blobs / file.sha256)
            done += file.size
            reached(done)
            # Finds the file where it is by now, and makes the links by which other programs find it.
            hf_hub_download(
                repository.name,
                file.name,
                revision=repository.commit,
                library_name="shareai",
                library_version=__version__,
            )
    return place_of(repository, offer)


def place_of(repository: Repository, offer: Offer) -> Path:
    """Return where the first file of a model is, or will be once it was fetched."""
    return _folder(repository) / "snapshots" / repository.commit / offer.files[0].name


def _folder(repository: Repository) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.name.replace('/', '--')}"


def _fetch_blob(fetching: Fetch, place: Path) -> None:
    partial = place.with_name(f"{place.name}.incomplete")
    lock = FileLock.take(partial)
    if lock is None:
        raise AlreadyRunning(f"Another process is fetching {place.name[:12]}...", hint="Wait for its end.")
    with lock:
        if not place.exists():
            fetching.complete(partial)
            partial.replace(place)


def _has(blobs: Path, file: HubFile) -> bool:
    try:
        return (blobs / file.sha256).stat().st_size == file.size
    except OSError:
        return False


def _begun(blobs: Path, file: HubFile) -> int:
    """Return how many bytes of a file that is not whole there are."""
    try:
        return min(file.size, (blobs / f"{file.sha256}.incomplete").stat().st_size)
    except OSError:
        return 0


def _is_name(name: str) -> bool:
    """Tell whether a name leads to a place below a folder."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and all(part not in ("", ".", "..") for part in parts)


@contextmanager
def _translated(repository: str) -> Iterator[None]:
    """Turn what the library and its clients raise into this package's errors."""
    try:
        yield
    except ShareAIError as error:
        if isinstance(error, PermissionRefused):
            raise _gated(repository) from None
        raise
    except Exception as error:
        _raise(error, repository)


def _raise(error: Exception, repository: str) -> NoReturn:
    from huggingface_hub import constants, errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        raise _gated(repository) from None
    if isinstance(error, errors.RevisionNotFoundError):
        raise UsageError(f"{repository} has no such revision.") from None
    if isinstance(error, errors.RepositoryNotFoundError):
        raise UsageError(
            f"The hub has no repository {repository}, or it is private.",
            hint="The names are those of huggingface.co/models; a token for private ones goes into HF_TOKEN.",
        ) from None
    if isinstance(error, errors.OfflineModeIsEnabled):
        raise ConnectionRefused(
            "HF_HUB_OFFLINE keeps everything from the network.",
            hint="Unset it, or take a model that is here already: shareai model list",
        ) from None
    if status == 401:
        raise AuthenticationFailed(
            "The hub does not accept the token that it was shown.", hint="Set another one in HF_TOKEN."
        ) from None
    if status is not None:
        raise UpstreamError(f"The hub answers HTTP {status}.", hint="It may be later.") from None
    if isinstance(error, OSError) and error.strerror:
        raise StateError(f"{error.filename or 'The cache'} cannot be written: {error.strerror}.") from None
    raise ConnectionRefused(
        f"The hub at {constants.ENDPOINT} cannot be reached: {str(error)[:200] or type(error).__name__}",
        hint="shareai doctor looks at the network. Models that are here already: shareai model list",
    ) from None


def _gated(repository: str) -> PermissionRefused:
    return PermissionRefused(
        f"{repository} is only for those who agreed to its terms.",
        hint=f"Agree at https://huggingface.co/{repository}, and set HF_TOKEN to a token of yours.",
    )

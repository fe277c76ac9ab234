"""Ollama's models on disk: manifests name blobs, one of which is the GGUF file.

Layout: `manifests/REGISTRY/NAMESPACE/MODEL/TAG` beside `blobs/sha256-DIGEST`
(github.com/ollama/ollama/blob/main/docs/faq.mdx; the manifests are those of the OCI image specification).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shareai_cli.discovery.search import Search
from shareai_cli.paths import absolute

FOLDERS: Final = ("~/.ollama/models", "/usr/share/ollama/.ollama/models", "/var/lib/ollama/models")
"""Its own user's home, and where Linux packages make one for the service."""

_REGISTRY: Final = "registry.ollama.ai"
_NAMESPACE: Final = "library"
_MODEL: Final = "application/vnd.ollama.image.model"
_MANIFEST_LIMIT: Final = 1 << 16
_DEPTH: Final = 3
"""Folders between `manifests` and a manifest: registry, namespace, model."""
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class OllamaModel(Struct, frozen=True):
    """A model as Ollama keeps it."""

    id: str
    """As `ollama list` shows it, without the tag where that is the customary one."""
    name: str
    """As `ollama list` shows it."""
    blob: Path


class _Layer(Struct):
    digest: str
    media_type: str = msgspec.field(name="mediaType", default="")


class _Manifest(Struct):
    layers: list[_Layer] = []


def ollama_models(environ: Mapping[str, str], search: Search) -> Iterator[OllamaModel]:
    """Yield the models whose manifests can be read; whether a blob is there is for others to see."""
    named = environ.get("OLLAMA_MODELS")
    for folder in (named,) if named else FOLDERS:
        root = absolute(Path(folder))
        manifests = root / "manifests"
        for file in search.files(manifests, deepest=_DEPTH):
            parts = file.relative_to(manifests).parts
            digest = _digest(file)
            if len(parts) == _DEPTH + 1 and digest is not None:
                name = _name(*parts)
                yield OllamaModel(name.removesuffix(":latest"), name, root / "blobs" / f"sha256-{digest}")


def _name(registry: str, namespace: str, model: str, tag: str) -> str:
    """Return a name as Ollama shows it: what is customary is left out."""
    if registry != _REGISTRY:
        return f"{registry}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace == _NAMESPACE else f"{namespace}/{model}:{tag}"


def _digest(file: Path) -> str | None:
    """Return the digest of the blob that holds the weights; it becomes part of a path, and so is checked."""
    try:
        with file.open("rb") as stream:
            manifest = msgspec.json.decode(stream.read(_MANIFEST_LIMIT), type=_Manifest)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    for layer in manifest.layers:
        found = _DIGEST.fullmatch(layer.digest)
        if layer.media_type == _MODEL and found is not None:
            return found[1]
    return None

"""Folders as other programs leave them, with files that begin as GGUF does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

HEADER = b"GGUF\x03\x00\x00\x00" + bytes(16)


def gguf(path: Path, more: int = 0) -> Path:
    """Write a file that begins as GGUF does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER + bytes(more))
    return path


def hub_file(hub: Path, repository: str, name: str, *, revision: str = "abc", more: int = 0) -> Path:
    """Put a file into a Hugging Face cache: a blob, and a link to it in a snapshot."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    blob = gguf(folder / "blobs" / hashlib.sha256(f"{name}{revision}".encode()).hexdigest(), more)
    link = folder / "snapshots" / revision / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(revision)
    return link


def ollama_model(root: Path, name: str, tag: str, *, registry: str = "registry.ollama.ai/library") -> Path:
    """Put a model into Ollama's folder; returns its blob."""
    digest = hashlib.sha256(f"{name}:{tag}".encode()).hexdigest()
    blob = gguf(root / "blobs" / f"sha256-{digest}", len(name))
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "0" * 64, "size": 1},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": 9},
    ]
    manifest(root, f"{registry}/{name}/{tag}", {"schemaVersion": 2, "layers": layers})
    return blob


def manifest(root: Path, place: str, fields: object) -> None:
    """Write one of Ollama's manifests."""
    file = root / "manifests" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(fields))

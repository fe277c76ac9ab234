"""Which files of a repository are a model, and which of several quantisations is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from msgspec import Struct

from shareai_cli.catalog.gguf_words import named_quantization
from shareai_cli.config.reading import shown
from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest

PREFERRED: Final = (
    "Q4_K_M", "UD-Q4_K_XL", "MXFP4", "Q4_K_S", "Q4_0", "IQ4_XS", "IQ4_NL", "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0",
)  # fmt: skip
"""What is taken where nobody says which: the first of these that there is."""

MOST_NAMED: Final = 30

_SUFFIX: Final = ".gguf"
_NO_MODEL = re.compile(r"mmproj|imatrix", re.IGNORECASE)
_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


class HubFile(Struct, frozen=True):
    """A file of a repository."""

    name: str
    """With its folders."""
    size: int
    sha256: str
    """64 hexadecimal digits; empty where the hub tells none."""


class Offer(Struct, frozen=True):
    """One model of a repository."""

    name: str
    """Its quantisation; the file's name where that tells none, or where another model has the same."""
    files: tuple[HubFile, ...]
    """Its parts in their order; the first one is loaded."""

    @property
    def size(self) -> int:
        """Bytes, of all parts."""
        return sum(file.size for file in self.files)


def offers(files: Iterable[HubFile]) -> Mapping[str, Offer]:
    """Return the models among the files of a repository, by their names; of those in parts whole ones."""
    by_stem: dict[str, list[HubFile]] = {}
    parts: dict[str, int] = {}
    for file in sorted(files, key=lambda one: one.name):
        path = PurePosixPath(file.name)
        if path.suffix.lower() != _SUFFIX or _NO_MODEL.search(path.name):
            continue
        part = _PART.fullmatch(path.stem)
        stem = str(path.with_name(part["name"] if part is not None else path.stem))
        by_stem.setdefault(stem, []).append(file)
        parts[stem] = int(part["count"]) if part is not None else 1
    found: dict[str, Offer] = {}
    for stem, own in by_stem.items():
        if len(own) == parts[stem]:
            name = named_quantization(PurePosixPath(stem).name) or PurePosixPath(stem).name
            name = name if name not in found else stem
            found[name] = Offer(name, tuple(own))
    return found


def choose(known: Mapping[str, Offer], wanted: str | None, repository: str) -> Offer:
    """Return the model that is meant; `UsageError` names those that there are."""
    if not known:
        raise UsageError(
            f"{repository} has no GGUF files, and llama.cpp reads no others.",
            hint=f"Look for {repository.partition('/')[2]}-GGUF on huggingface.co/models.",
        )
    if wanted is None:
        preferred = next((known[name] for name in PREFERRED if name in known), None)
        if preferred is None and len(known) > 1:
            raise UsageError(
                f"Which one of {repository}? It has {_named(known)}.",
                hint=f"shareai model pull {repository}:{next(iter(known))}",
            )
        return preferred or next(iter(known.values()))
    for name, offer in known.items():
        stem = PurePosixPath(offer.files[0].name).name
        if wanted.casefold() in (name.casefold(), stem.casefold(), stem.casefold().removesuffix(_SUFFIX)):
            return offer
    near = nearest(wanted.upper(), known) or next(iter(known))
    raise UsageError(
        f"{repository} has no {shown(wanted)}. It has {_named(known)}.",
        hint=f"shareai model pull {repository}:{near}",
    )


def _named(known: Mapping[str, Offer]) -> str:
    names: Sequence[str] = list(known)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"

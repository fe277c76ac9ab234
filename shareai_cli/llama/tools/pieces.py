"""What a reply consists of once its marks are read."""

from __future__ import annotations

from msgspec import Struct


class Content(Struct, frozen=True, gc=False):
    """Text for the person who asked."""

    text: str


class Reasoning(Struct, frozen=True, gc=False):
    """What the model thinks before it answers."""

    text: str


class CallBegins(Struct, frozen=True, gc=False):
    """A tool is called; its arguments follow."""

    name: str


class Arguments(Struct, frozen=True, gc=False):
    """More of the JSON of the last call's arguments."""

    text: str


Piece = Content | Reasoning | CallBegins | Arguments

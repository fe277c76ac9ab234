"""What a person orders at run time in place of what the configuration says, as structs that folders share."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

HEAVIEST: Final = 1_000_000
"""The largest weight of a target."""

TargetState = Literal["serving", "disabled", "draining"]
NodeState = Literal["serving", "paused", "draining"]
"""Whoever is not serving gets no new requests; those that are under way there go on."""

Weight = Annotated[int, Meta(ge=1, le=HEAVIEST)]


class TargetOverride(Struct, frozen=True):
    """What was ordered of one target of a route."""

    route: str
    target: str
    """`provider/model`."""
    state: TargetState = "serving"
    weight: int | None = None
    """In place of the declared one; None leaves that in force."""
    by: str = ""
    """Who ordered it last."""
    since_ms: int = 0
    """When that was, Unix milliseconds."""


class NodeOverride(Struct, frozen=True):
    """What was ordered of a machine that serves models."""

    node: str
    """`node` is the gateway's own machine."""
    state: NodeState = "serving"
    by: str = ""
    since_ms: int = 0


class Overrides(Struct, frozen=True):
    """Everything that is ordered otherwise than the configuration says."""

    targets: tuple[TargetOverride, ...] = ()
    nodes: tuple[NodeOverride, ...] = ()


NO_OVERRIDES: Final = Overrides()


class TargetOrder(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to become otherwise of a target of a route; what is not said stays."""

    route: str
    target: str
    state: TargetState | UnsetType = UNSET
    weight: Weight | UnsetType | None = UNSET
    """None goes back to the declared one."""


class NodeOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to become of a machine."""

    node: str
    state: NodeState

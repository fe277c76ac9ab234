"""What whoever opens the dashboard hands in beside the gateway, as it is no part of what is drawn."""

from __future__ import annotations

from msgspec import Struct

from shareai_cli.dashboard.drilling import Drilling
from shareai_cli.dashboard.talking import Talking


class Tools(Struct, frozen=True):
    """What runs drills, and what asks models."""

    drilling: Drilling
    talking: Talking

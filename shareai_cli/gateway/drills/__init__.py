"""Drills: requests that meet faults on purpose, on paths of their own beside production's."""

from shareai_cli.gateway.drills.drills import Drills
from shareai_cli.gateway.drills.scenario import Surroundings
from shareai_cli.gateway.drills.schedule import DrillCommand, Schedule

__all__ = ["DrillCommand", "Drills", "Schedule", "Surroundings"]

"""The check `failover`: targets of a route are made to fail, and another one has to answer in their place."""

from shareai_cli.drill.failover.cases import cases
from shareai_cli.drill.failover.faults import FAULTS

__all__ = ["FAULTS", "cases"]

"""The stage that keeps limits and budgets, and what is asked before each attempt; off, they are not there."""

from shareai_cli.gateway.limits.attempts import Attempts
from shareai_cli.gateway.limits.limiter import Limiter, Warned

__all__ = ["Attempts", "Limiter", "Warned"]

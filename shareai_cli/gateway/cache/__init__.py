"""Replies kept for requests that are exactly equal, and calls that equal requests share. Off by default.

Nothing leaves a caller's team unless the route says so. Only complete 2xx replies are kept.
"""

from shareai_cli.gateway.cache.stage import Cache

__all__ = ["Cache"]

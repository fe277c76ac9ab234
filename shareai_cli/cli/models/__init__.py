"""`shareai models`: everything that can be asked for.

command → look (asks the gateway, or configuration and providers) → filters → table
"""

from __future__ import annotations

from shareai_cli.cli.models.command import app as app

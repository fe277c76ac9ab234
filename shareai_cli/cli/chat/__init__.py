"""`shareai chat`: talk to any model of a gateway from the terminal.

command → access (which gateway, which key) → client (asks, reads the stream) → screen or compare (shows it)
"""

from __future__ import annotations

from shareai_cli.cli.chat.command import app as app

"""`shareai smoke-test`: proof that routes answer, fail over, cache and cost as they should.

command → wanted (what is asked for) → gateway (who is drilled) → live (while it goes on) → show (its report)
"""

from __future__ import annotations

from shareai_cli.cli.smoke_test.command import app as app

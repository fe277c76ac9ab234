"""`python -m shareai_cli.node`: what the gateway starts beside itself."""

from __future__ import annotations

import sys

from shareai_cli.node.agent import main

sys.exit(main())

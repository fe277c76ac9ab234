"""`python -m shareai_cli.llama`: what the node agent starts for each loaded model."""

from __future__ import annotations

import sys

from shareai_cli.llama.child import main

sys.exit(main())

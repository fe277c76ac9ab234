"""`python -m shareai_cli.cli`: the same as `shareai`, for who starts it with an interpreter."""

from __future__ import annotations

from shareai_cli.cli import main

main()

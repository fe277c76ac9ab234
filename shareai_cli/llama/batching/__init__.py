"""Continuous batching: many replies computed together, one token of each a step.

`plan` and `cache` decide and know nothing of llama.cpp; `context` and `sampling` make its calls, and guard
them.
"""

"""The smoke test: checks against live routes, with faults in its own requests only."""

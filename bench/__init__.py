"""Measures the gateway against nginx on this machine: `python -m bench`."""

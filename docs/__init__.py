"""What the README shows beside its text."""

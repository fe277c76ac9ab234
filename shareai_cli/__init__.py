"""ShareAI: cloud keys and one's own machines behind one OpenAI-compatible endpoint."""

__version__ = "0.1.0"

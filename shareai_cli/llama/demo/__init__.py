"""The demo model: a GGUF of a few hundred kilobytes, served where nothing else is configured."""

"""The llama.cpp child process: one model, served over loopback HTTP."""

"""The agent that keeps this machine's models: one child process each."""

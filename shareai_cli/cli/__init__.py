"""The `shareai` command: typer, thin."""

"""`shareai provider`: add, list, test and remove providers, and their keys one by one."""

from __future__ import annotations

from shareai_cli.cli.commands import command, new_app
from shareai_cli.cli.provider.adding import add
from shareai_cli.cli.provider.keys import app as keys
from shareai_cli.cli.provider.looking import list_, presets, test
from shareai_cli.cli.provider.removing import remove

app = new_app(
    "Add, list, test and remove providers, and their keys one by one.", example="shareai provider add openai"
)
command(app, "add", example="shareai provider add openai")(add)
command(app, "list", example="shareai provider list")(list_)
command(app, "test", example="shareai provider test openai")(test)
command(app, "remove", example="shareai provider remove alpha")(remove)
command(app, "presets", example="shareai provider presets")(presets)
app.add_typer(keys, name="key", short_help="Add, list, rotate and remove a provider's keys.")

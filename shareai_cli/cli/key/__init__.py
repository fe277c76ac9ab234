"""`shareai key`: the keys that clients present."""

from __future__ import annotations

from shareai_cli.cli.commands import command, new_app
from shareai_cli.cli.key.changing import set_
from shareai_cli.cli.key.creating import create
from shareai_cli.cli.key.ending import revoke, rotate
from shareai_cli.cli.key.showing import list_, show

app = new_app(
    "Create, list, change, rotate and revoke the keys of clients.", example="shareai key create laptop"
)
command(app, "create", example="shareai key create laptop --allow chat --expires 30d")(create)
command(app, "list", example="shareai key list")(list_)
command(app, "show", example="shareai key show laptop")(show)
command(app, "set", example="shareai key set laptop --allow chat --allow 'node/*' --expires never")(set_)
command(app, "rotate", example="shareai key rotate laptop --overlap 1h")(rotate)
command(app, "revoke", example="shareai key revoke laptop")(revoke)

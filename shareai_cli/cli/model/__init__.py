"""`shareai model`: which models this machine serves."""

from __future__ import annotations

from shareai_cli.cli.commands import command, new_app
from shareai_cli.cli.model.adding import add
from shareai_cli.cli.model.listing import list_
from shareai_cli.cli.model.pulling import pull
from shareai_cli.cli.model.removing import remove
from shareai_cli.cli.model.running import run_
from shareai_cli.cli.model.setting import set_

app = new_app(
    "Fetch, add, list, run, set and remove models here.",
    example="shareai model add ~/models/qwen3-8b-q4.gguf",
)
command(app, "add", example="shareai model add ~/models/qwen3-8b-q4.gguf")(add)
command(app, "list", example="shareai model list")(list_)
command(app, "pull", example="shareai model pull ggml-org/gemma-3-4b-it-GGUF:Q4_K_M")(pull)
command(app, "run", example='shareai model run llama3.2 "Hello!"')(run_)
command(app, "set", example="shareai model set qwen3-8b-q4 context=16384 idle=1h")(set_)
command(app, "remove", example="shareai model remove qwen3-8b-q4")(remove)

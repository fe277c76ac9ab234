"""Records the README's picture: `python -m docs.terminal` runs the commands and writes docs/terminal.svg.

OpenAI is down in it, and the next target answers. The providers are those of the tests, which the commands
reach by their real names; what is shown is what the commands printed.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.text import Text

from tests.support.internet import Internet
from tests.support.terminal import terminal_of

PICTURE = Path(__file__).with_suffix(".svg")
COLUMNS = 100
CONFIG = """
[providers.openai]
[providers.groq]

[routes.chat]
targets = ["openai/gpt-5-mini", "groq/openai/gpt-oss-20b"]
"""
COMMANDS = (
    "shareai route show chat",
    'shareai chat chat "Why is the sky blue?"',
    "shareai explain last",
    "shareai usage --by target",
)
_PROGRAM = f"{sys.executable} -c 'from shareai_cli.cli import main; main()'"


def record() -> str:
    """Run the commands beside a gateway, and return what a terminal got, colours included."""
    with tempfile.TemporaryDirectory(prefix="picture-") as folder, Internet(Path(folder)) as internet:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text(CONFIG)
        environ = {
            "SHAREAI_HOME": str(home),
            "SHAREAI_PORT": "0",
            "OPENAI_API_KEY": "sk-proj-example-0123456789",
            "GROQ_API_KEY": "gsk_example0123456789",
            "COLUMNS": str(COLUMNS),
            **internet.environ,
        }
        internet.down.add("api.openai.com")
        with terminal_of(("bash", "-c", f"exec {_PROGRAM} serve"), environ) as gateway:
            gateway.until("Next: ")
            return "\n".join(_run(command, environ) for command in COMMANDS)


def _run(command: str, environ: dict[str, str]) -> str:
    script = f'stty cols {COLUMNS}; shareai() {{ {_PROGRAM} "$@"; }}; {command}'
    with terminal_of(("bash", "-c", script), environ) as terminal:
        if terminal.end() != 0:
            raise SystemExit(f"{command} failed: {terminal.text}")
        return f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\n" + terminal.raw.replace("\r\n", "\n")


def picture(recorded: str) -> str:
    """Return an SVG of a recording, its text beside it for those who do not see it; no font is fetched."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(text := Text.from_ansi(_settled(recorded)))
    drawn = re.sub(r"@font-face \{.*?\}\n?", "", console.export_svg(title="shareai"), flags=re.S)
    return drawn.replace("<style>", f"<desc>{escape(text.plain)}</desc>\n    <style>", 1)


def _settled(recorded: str) -> str:
    """Return what stays on the screen: no line that was erased, no cursor that was moved."""
    return re.sub(r"\x1b\[[0-9;?]*[A-HJKhl]", "", re.sub(r"[^\n]*\x1b\[2K", "", recorded))


if __name__ == "__main__":
    PICTURE.write_text(picture(record()))

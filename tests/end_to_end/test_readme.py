"""The README, followed from its first command to its last by somebody who has nothing but it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import unescape

import pytest

import shareai_cli.llama
from docs.terminal import PICTURE, picture, record
from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import load_text
from tests.support.certificates import make_certificates
from tests.support.internet import Internet
from tests.support.readme import Block, Step, assert_shows, blocks, steps
from tests.support.terminal import Terminal, terminal_of

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")

PORT = "6161"
BASH = ("env", "-u", "SHAREAI_HOME", "bash", "-c")
READY = "Next: "
EXAMPLE_KEY = re.compile(r"sk-shareai-IXX\w+")
RUNNERS = {
    "run: curl": ("bash", "-c"),
    "run: python": (sys.executable, "-c"),
    "run: node": ("node", "--input-type=module", "-e"),
}


class Reader:
    """Somebody with a home of their own, two keys, a model file, and a port that is free."""

    def __init__(self, folder: Path, internet: Internet) -> None:
        self.home = folder / "home"
        (self.home / "models").mkdir(parents=True)
        demo = Path(shareai_cli.llama.__file__).parent / "demo" / "shareai-demo.gguf"
        shutil.copy(demo, self.home / "models" / "qwen3-8b-q4.gguf")
        (self.home / "groq.key").write_text("gsk_example0123456789\n")
        (self.home / "groq.key").chmod(0o600)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        programs = self.home / "bin"
        programs.mkdir()
        (programs / "shareai").write_text(
            f"#!/bin/sh\nexec {sys.executable} -c 'from shareai_cli.cli import main; main()' \"$@\"\n"
        )
        (programs / "shareai").chmod(0o755)
        self.key = ""
        self.environ = {
            "HOME": str(self.home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SHAREAI_PORT": self.port,
            "NO_PROXY": "127.0.0.1",
            "COLUMNS": "100",
            "TERM": "dumb",
            **internet.environ,
        }

    def run(self, step: Step) -> None:
        """Type a command, and hold that it shows what stands there."""
        command = EXAMPLE_KEY.sub(self.key, step.command).replace(PORT, self.port)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environ[name] = value
            return
        with terminal_of((*BASH, f"cd && {command}"), self.environ) as terminal:
            if "(not shown)" in step.shown:
                terminal.until("(not shown): ")
                terminal.type("sk-proj-example-0123456789\r")
            code = terminal.end()
            assert code == 0, terminal.text
            assert_shows(terminal.text, step.shown)

    def run_program(self, block: Block) -> str:
        """Run an example in another language, and return what it prints."""
        text = block.text.replace(PORT, self.port)
        with terminal_of((*RUNNERS[block.note], text), self.environ) as terminal:
            assert terminal.end() == 0, terminal.text
            return terminal.text


@pytest.fixture
def internet(tmp_path: Path) -> Iterator[Internet]:
    """Yield the providers that the README names."""
    with Internet(tmp_path) as internet:
        yield internet


@pytest.mark.timeout(180)
def test_every_command_does_what_it_shows(tmp_path: Path, internet: Internet) -> None:
    """In their order, against the providers that they name, with the outputs that stand there."""
    reader = Reader(tmp_path, internet)
    first, *others = [block for block in blocks() if block.kind == "console" or block.note in RUNNERS]
    (serve,) = steps(first)
    with terminal_of((*BASH, f"exec {serve.command}"), reader.environ) as gateway:
        gateway.until(READY)
        assert_shows(gateway.text.replace(reader.port, PORT), serve.shown)
        reader.key = re.findall(r"sk-shareai-[\w-]+", gateway.text)[0]
        for block in others:
            _follow(block, reader, internet, gateway)


def _follow(block: Block, reader: Reader, internet: Internet, gateway: Terminal) -> None:
    internet.down = {block.note.removeprefix("down: ")} if block.note.startswith("down: ") else set()
    if block.note in RUNNERS:
        if block.note == "run: node" and shutil.which("node") is None:
            return  # no JavaScript here
        shown = reader.run_program(block)
        assert "so the sky looks blue" in shown
        assert "ShareAI's demo model" in shown
        return
    for step in steps(block):
        reader.run(step)


def test_the_picture_is_what_the_commands_show() -> None:
    """Recorded anew, it tells the same but for times and ids."""
    (drawn,) = re.findall(r"<desc>(.*?)</desc>", PICTURE.read_text(), re.S)
    (recorded,) = re.findall(r"<desc>(.*?)</desc>", picture(record()), re.S)
    assert_shows(unescape(recorded), unescape(drawn))


def test_the_configuration_that_stands_there_is_one(tmp_path: Path) -> None:
    """Each of its settings is known, and means what its comment says."""
    settings = load_text(_block("config").text, tmp_path / "config.toml", {"HOME": str(tmp_path)}, PRESETS)
    assert settings.providers["openai"].base_url == PRESETS["openai"].base_url
    assert settings.providers["alpha"].timeouts.connect == 5
    assert settings.routes["chat"].cache is not None
    assert [str(one.target.name) for one in settings.routes["chat"].targets][-1] == "node/qwen3-8b-q4"


def test_the_network_that_stands_there_is_one(tmp_path: Path) -> None:
    """The proxy and the authority are taken, and a provider's own word counts for it."""
    made = make_certificates(tmp_path)
    made.authority.rename(tmp_path / "company.pem")
    text = _block("config: network").text
    settings = load_text(text, tmp_path / "config.toml", {"TENANT": "blue"}, PRESETS)
    assert settings.network.proxy is not None
    assert "p%40ssword" not in repr(settings)
    assert settings.providers["alpha"].egress.proxy is None


def _block(note: str) -> Block:
    (block,) = [block for block in blocks() if block.note == note]
    return block

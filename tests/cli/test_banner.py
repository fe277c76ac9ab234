"""What `shareai serve` shows can be pasted, and names what answers."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.cli.banner import banner
from shareai_cli.cli.program import program
from shareai_cli.config import load_text
from shareai_cli.gateway.process import Ready
from shareai_cli.secrets import Secret
from shareai_cli.types import LocalModel
from tests.support.commands import shareai

URL = "http://127.0.0.1:6161/v1"
ODD = """it's "x" $HOME"""


def lines(
    text: str = "", *models: str, broken: tuple[str, ...] = (), key_file: Path | None = None
) -> list[str]:
    environ = {} if text else {"OPENAI_API_KEY": "x"}
    settings = load_text(text, Path("/c.toml"), environ, PRESETS)
    local = tuple(LocalModel(name, f"/{name}.gguf") for name in models)
    key = None if key_file else Secret("sk-shareai-x")
    return "\n".join(banner(Ready(settings, URL, local, key, key_file), True, broken)).splitlines()


def curl(shown: list[str]) -> list[str]:
    (line,) = [one for one in shown if one.startswith("curl ")]
    return shlex.split(line)


def test_the_line_to_try_is_quoted_for_the_shell_and_as_json() -> None:
    """Whatever a model is called."""
    words = curl(lines("[server]", ODD))
    assert json.loads(words[-1])["model"] == ODD
    assert words[1] == f"{URL}/chat/completions"


def test_the_keys_file_is_quoted() -> None:
    """A folder's name may hold a quote."""
    shown = "\n".join(lines("[server]", "m", key_file=Path("/it's here/first-key")))
    assert """$(cat '/it'"'"'s here/first-key')""" in shown


def test_without_a_model_that_is_known_the_models_are_asked_for() -> None:
    """No placeholder that cannot answer."""
    shown = lines()
    assert curl(shown)[1] == f"{URL}/models"


def test_a_model_that_is_there_is_tried() -> None:
    """Neither one whose file cannot be read nor a route that leads to such ones alone."""
    text = '[routes.chat]\ntargets = ["node/lost"]\n'
    assert json.loads(curl(lines(text, "lost", "there", broken=("lost",)))[-1])["model"] == "there"
    assert json.loads(curl(lines(text, "lost", "there"))[-1])["model"] == "chat"


def test_the_program_is_named_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its path where `shareai` alone would not be found, or would be another one."""
    called = tmp_path / "my env" / "shareai"
    called.parent.mkdir()
    called.write_text("#!/bin/sh\n")
    called.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(called)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == f"'{called}'"
    assert f"Next: '{called}' route add" in "\n".join(lines())
    monkeypatch.setenv("PATH", str(called.parent))
    assert program() == "shareai"


def test_a_hint_can_be_pasted() -> None:
    """Names with spaces, and those that look like options."""
    assert "shareai key revoke 'my key' " in shareai("key", "create", "my key").err
    assert "shareai key revoke -- -x " in shareai("key", "create", "--", "-x").err


def test_an_unencrypted_address_names_the_option() -> None:
    """In the command line's words."""
    refused = shareai("provider", "add", "a", "--base-url", "http://a.example/v1", "--key-env", "K")
    assert refused.code == 2
    assert "--allow-http" in refused.err


def test_help_shows_what_can_be_left_out_once() -> None:
    """One pair of brackets."""
    for words in (("provider", "test"), ("node", "register")):
        assert "[[" not in shareai(*words, "--help").out

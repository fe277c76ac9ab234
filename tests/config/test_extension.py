"""Several additions to a configuration file keep everything that stands in it, and say what they are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config.edit import Editor
from shareai_cli.config.extension import HEADER, Extension, NewModel, NewProvider, NewRoute
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import SecretReference
from shareai_cli.types import Target

EXTENSION = Extension(
    providers=(
        NewProvider("groq", "Groq: its key is found.", keys=(SecretReference("env", "GROQ_API_KEY"),)),
        NewProvider("engine", "An engine that runs here.", base_url="http://127.0.0.1:1/v1", keys=()),
    ),
    models=(
        NewModel("wise", "4 GB", Path("/models/wise.gguf")),
        NewModel("llama3.2:3b", "2 GB", Path("/blobs/sha256-1")),
    ),
    routes=(NewRoute("chat", "The first that answers.", (Target("engine", "a"), Target("groq", "b/c"))),),
)

TEXTS = [
    "",
    "# mine\n[server]\nport = 1 # one\n",
    '[providers.alpha]\nbase_url = "https://a.example/v1" # A\n# end\n\n[routes.own]\ntargets = ["alpha/x"]\n'
    '[local]\nmodels = ["/m/a.gguf"] # M\n',
    '[providers]\nalpha = {base_url = "https://a.example/v1"}\n',
    '[local]\nmodels = [\n  "a.gguf", # first\n  # more to come\n]\n# the end',
    '[providers.a]\nbase_url = "https://a.example"\n[routes.r]\ntargets = ["a/x"]\n[providers.b]\n'
    'base_url = "https://b.example"\n',
    "[providers]\n[local]\n[routes]\n",
]


def editor(tmp_path: Path, text: str) -> Editor:
    (tmp_path / "config.toml").write_text(text)
    return Editor(tmp_path / "config.toml", {}, PRESETS)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_everything_is_added_and_nothing_lost(tmp_path: Path, text: str) -> None:
    """Whatever the file looks like: each of its lines and values is there afterwards."""
    settings = editor(tmp_path, text).apply(EXTENSION.extend)
    after = (tmp_path / "config.toml").read_text()
    former, now = tomllib.loads(text), tomllib.loads(after)
    for section, values in former.items():
        for key, value in values.items():
            kept = now[section][key]
            assert kept[: len(value)] == value if key == "models" else kept == value
    for comment in [line[line.index("#") :] for line in text.splitlines() if "#" in line]:
        assert comment in after
    assert settings.providers["groq"].keys == (SecretReference("env", "GROQ_API_KEY"),)
    assert (settings.providers["engine"].base_url, settings.providers["engine"].keys) == (
        "http://127.0.0.1:1/v1",
        (),
    )
    assert [one.target.name for one in settings.routes["chat"].targets] == ["engine/a", "groq/b/c"]
    assert [model.id for model in settings.local.models][-2:] == ["wise", "llama3.2:3b"]
    for comment in ("Groq: its key is found.", "4 GB", "2 GB", "The first that answers."):
        assert f"# {comment}" in after or "alpha = {" in text


def test_a_new_file_begins_with_what_it_is(tmp_path: Path) -> None:
    """And reads as a person would have written it."""
    editor(tmp_path, "").apply(EXTENSION.extend)
    assert (tmp_path / "config.toml").read_text() == (
        f"# {HEADER[0]}\n# {HEADER[1]}\n\n"
        '[providers.groq]\n# Groq: its key is found.\nkeys = ["env:GROQ_API_KEY"]\n\n'
        '[providers.engine]\n# An engine that runs here.\nbase_url = "http://127.0.0.1:1/v1"\nkeys = []\n\n'
        "[local]\n# Files of this machine that llama.cpp serves, each as node/NAME.\nmodels = [\n"
        '    "/models/wise.gguf", # 4 GB\n'
        '    {path = "/blobs/sha256-1", name = "llama3.2:3b"}, # 2 GB\n]\n\n'
        '[routes.chat]\n# The first that answers.\ntargets = ["engine/a", "groq/b/c"]\n\n'
    )


def test_what_is_declared_already_is_left_as_it_is(tmp_path: Path) -> None:
    """A provider and a route of the name keep their fields."""
    text = '[providers.groq]\nkeys = ["env:MINE"]\n[routes.chat]\ntargets = ["groq/own"]\n'
    settings = editor(tmp_path, text).apply(Extension(EXTENSION.providers, (), EXTENSION.routes).extend)
    assert settings.providers["groq"].keys == (SecretReference("env", "MINE"),)
    assert [one.target.name for one in settings.routes["chat"].targets] == ["groq/own"]


def test_added_twice_is_added_once(tmp_path: Path) -> None:
    """The file stays as it is, to the byte."""
    made = editor(tmp_path, TEXTS[2])
    made.apply(EXTENSION.extend)
    once = (tmp_path / "config.toml").read_text()
    made.apply(EXTENSION.extend)
    assert (tmp_path / "config.toml").read_text() == once


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    """It returns what is there and what would be, checked."""
    made = editor(tmp_path, TEXTS[1])
    before, after = made.preview(EXTENSION.extend)
    assert (tmp_path / "config.toml").read_text() == before == TEXTS[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml"]
    made.apply(EXTENSION.extend)
    assert (tmp_path / "config.toml").read_text() == after


def test_a_route_to_nowhere_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """As in any other change."""
    lost = Extension(routes=(NewRoute("chat", "", (Target("nobody", "a"),)),))
    for change in (editor(tmp_path, "").preview, editor(tmp_path, "").apply):
        with pytest.raises(ConfigurationError, match="nobody"):
            change(lost.extend)
    assert (tmp_path / "config.toml").read_text() == ""

"""Commands change the configuration file as a person would."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import RouteTarget, load
from shareai_cli.config.edit import Editor
from shareai_cli.errors import ConfigurationError, StateError, UsageError
from shareai_cli.paths import Paths
from shareai_cli.secrets import SecretReference
from shareai_cli.types import Target

KEY = SecretReference("env", "ALPHA_KEY")
COMMENTED = """\
# mine
[server]  # where
port = 7   # lucky

# the work account
[providers.openai]
keys = [
    "env:A",  # first
]

[routes.chat]
targets = ["openai/gpt-5"]  # the usual
"""


@pytest.fixture
def file(paths: Paths) -> Path:
    paths.config_file.parent.mkdir(parents=True)
    return paths.config_file


@pytest.fixture
def editor(paths: Paths) -> Editor:
    return Editor(paths.config_file, {}, PRESETS)


def test_a_file_is_made_for_the_owner_alone(editor: Editor, paths: Paths) -> None:
    """The first change makes folder and file, closed to others."""
    settings = editor.add_provider("openai")
    assert settings == load(paths, {}, presets=PRESETS)
    assert paths.config_file.read_text() == "[providers.openai]\n"
    assert paths.config_file.stat().st_mode & 0o777 == 0o600
    assert paths.config_file.parent.stat().st_mode & 0o777 == 0o700


def test_comments_and_order_stay(editor: Editor, file: Path) -> None:
    """Every line that a change does not concern stays as it was."""
    file.write_text(COMMENTED)
    editor.add_provider("alpha", base_url="https://alpha.example/v1", keys=[KEY])
    editor.add_provider("openai", keys=[KEY])
    editor.add_route("spread", [RouteTarget(Target("alpha", "m"), 3), RouteTarget(Target("node", "x"))])
    editor.add_local_models({Path("/models/x.gguf"): None})
    after = file.read_text()
    lost = [line for line in COMMENTED.splitlines() if line.strip() and line not in after.splitlines()]
    assert lost == []
    assert tomllib.loads(after) == {
        "server": {"port": 7},
        "providers": {
            "openai": {"keys": ["env:A", "env:ALPHA_KEY"]},
            "alpha": {"base_url": "https://alpha.example/v1", "keys": ["env:ALPHA_KEY"]},
        },
        "routes": {
            "chat": {"targets": ["openai/gpt-5"]},
            "spread": {"strategy": "priority", "targets": [{"target": "alpha/m", "weight": 3}, "node/x"]},
        },
        "local": {"models": ["/models/x.gguf"]},
    }


def test_what_was_added_can_be_removed_again(editor: Editor, file: Path) -> None:
    """Nothing of it stays behind."""
    file.write_text(COMMENTED)
    editor.add_provider("alpha", base_url="https://alpha.example/v1")
    editor.remove_provider("alpha")
    editor.add_route("x", [RouteTarget(Target("openai", "m"))])
    editor.remove_route("x")
    assert tomllib.loads(file.read_text()) == tomllib.loads(COMMENTED)


@pytest.mark.parametrize(
    "text",
    ["providers = {openai = {}}", "providers.openai.keys = ['env:A']", "[providers]\nopenai = {}",
     "[providers.openai]\n[server]\n[providers.groq]", "[providers]"],
)  # fmt: skip
def test_every_way_of_writing_tables_can_be_changed(editor: Editor, file: Path, text: str) -> None:
    """Inline, dotted, empty and scattered tables are all taken."""
    file.write_text(text)
    before = tomllib.loads(text)["providers"]
    settings = editor.add_provider("alpha", base_url="https://alpha.example/v1", keys=[KEY])
    assert set(settings.providers) == {*before, "alpha"}
    assert set(editor.remove_provider("alpha").providers) == set(before)


def test_doing_it_twice_does_no_harm(editor: Editor, file: Path) -> None:
    """Keys and models that are there already are not written again."""
    for _ in range(2):
        editor.add_provider("alpha", base_url="https://alpha.example/v1", keys=[KEY])
        editor.add_local_models({file.parent / "x.gguf": None})
    parsed = tomllib.loads(file.read_text())
    assert parsed["providers"]["alpha"]["keys"] == ["env:ALPHA_KEY"]
    assert parsed["local"]["models"] == [str(file.parent / "x.gguf")]


def test_further_keys_join_the_one_that_the_preset_implies(editor: Editor) -> None:
    """A provider that worked with its customary variable goes on using it."""
    editor.add_provider("openai")
    settings = editor.add_provider("openai", keys=[KEY])
    assert [key.name for key in settings.providers["openai"].keys] == ["env:OPENAI_API_KEY", "env:ALPHA_KEY"]


KEYS = """\
[providers.alpha]
base_url = "https://alpha.example/v1"
keys = [
    "env:A",  # the first
    "file:b.key",  # the second
]
"""


def test_a_key_takes_anothers_place_and_comments_stay(editor: Editor, file: Path) -> None:
    """Whichever way the old one is written; a preset's own key is written down to be replaced."""
    file.write_text(KEYS)
    settings = editor.replace_key("alpha", SecretReference("file", str(file.parent / "b.key")), KEY)
    assert [key.name for key in settings.providers["alpha"].keys] == ["env:A", "env:ALPHA_KEY"]
    assert '"env:A",  # the first' in file.read_text()
    editor.add_provider("openai")
    editor.replace_key("openai", SecretReference("env", "OPENAI_API_KEY"), KEY)
    assert tomllib.loads(file.read_text())["providers"]["openai"] == {"keys": ["env:ALPHA_KEY"]}


def test_a_key_is_taken_out_alone(editor: Editor, file: Path) -> None:
    """The others stay with their comments; the only one stays as well."""
    file.write_text(KEYS)
    editor.remove_key("alpha", SecretReference("file", str(file.parent / "b.key")))
    assert tomllib.loads(file.read_text())["providers"]["alpha"]["keys"] == ["env:A"]
    assert "# the first" in file.read_text()
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"env:A is the only key of alpha.*shareai provider remove alpha"):
        editor.remove_key("alpha", SecretReference("env", "A"))
    with pytest.raises(UsageError, match="alpha has no key env:ALPHA_KEY"):
        editor.replace_key("alpha", KEY, SecretReference("env", "A"))
    with pytest.raises(UsageError, match=r"no provider 'alhpa'.*Did you mean alpha"):
        editor.remove_key("alhpa", KEY)
    assert file.read_bytes() == before


def test_a_preview_of_a_provider_writes_nothing(editor: Editor, paths: Paths) -> None:
    """It tells what would be in force, and refuses what would be refused."""
    preview = editor.preview_provider("openai", keys=[KEY])
    assert [key.name for key in preview.providers["openai"].keys] == ["env:ALPHA_KEY"]
    with pytest.raises(ConfigurationError, match="base_url is missing"):
        editor.preview_provider("alpha")
    assert not paths.config_file.parent.exists()


LOCAL = """\
[local]
models = [
    "/models/x.gguf",  # the small one
    {path = "/blobs/sha256-1f", name = "llama3.2:3b"},  # Ollama's
    "/models/y.gguf",
]
"""


def test_a_local_model_gets_its_name_where_the_files_is_not_it(editor: Editor, file: Path) -> None:
    """Twice does no harm; the file under another name, and another file under the name, are refused."""
    for _ in range(2):
        settings = editor.add_local_models(
            {Path("/models/x.gguf"): "x", Path("/blobs/sha256-1f"): "llama3.2:3b"}
        )
    assert [model.id for model in settings.local.models] == ["x", "llama3.2:3b"]
    assert tomllib.loads(file.read_text()) == {
        "local": {"models": ["/models/x.gguf", {"path": "/blobs/sha256-1f", "name": "llama3.2:3b"}]}
    }
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"declared already, as node/x.*shareai model remove x"):
        editor.add_local_models({Path("/models/y.gguf"): None, Path("/models/x.gguf"): "other"})
    with pytest.raises(UsageError, match=r"node/x is another file already.*--name"):
        editor.add_local_models({Path("/elsewhere/x.gguf"): None})
    with pytest.raises(UsageError, match="not a model's name"):
        editor.add_local_models({Path("/elsewhere/z.gguf"): "a b"})
    assert file.read_bytes() == before


def test_a_local_model_is_removed_and_the_others_keep_their_comments(editor: Editor, file: Path) -> None:
    """By its name, whichever way it is written."""
    file.write_text(LOCAL)
    editor.remove_local_model("llama3.2:3b")
    after = file.read_text()
    assert tomllib.loads(after) == {"local": {"models": ["/models/x.gguf", "/models/y.gguf"]}}
    assert '"/models/x.gguf",  # the small one' in after
    editor.remove_local_model("x")
    editor.remove_local_model("y")
    assert tomllib.loads(file.read_text()) == {"local": {"models": []}}


def test_a_local_model_that_is_needed_or_unknown_is_not_removed(editor: Editor, file: Path) -> None:
    """With the route that needs it, or the nearest name."""
    text = f'{LOCAL}[routes.chat]\ntargets = ["node/x"]\n'
    file.write_text(text)
    with pytest.raises(UsageError, match=r"is a target of chat.*shareai route remove chat"):
        editor.remove_local_model("x")
    with pytest.raises(UsageError, match=r"no local model 'llama3.2'.*Did you mean llama3.2:3b"):
        editor.remove_local_model("llama3.2")
    assert file.read_text() == text


def test_a_route_of_the_same_name_is_replaced(editor: Editor, file: Path) -> None:
    """Its strategy and targets become the new ones."""
    file.write_text(COMMENTED)
    settings = editor.add_route("chat", [RouteTarget(Target("openai", "m"), 2)], strategy="weighted")
    assert settings.routes["chat"].strategy == "weighted"
    assert settings.routes["chat"].targets == (RouteTarget(Target("openai", "m"), 2),)


def test_a_broken_file_is_never_touched(editor: Editor, file: Path) -> None:
    """It is reported as `config check` would."""
    file.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigurationError, match=r"line 2: server\.prot"):
        editor.add_provider("openai")
    assert file.read_text() == "[server]\nprot = 1\n"


def test_a_change_that_makes_the_file_wrong_is_refused(editor: Editor, file: Path) -> None:
    """The file stays, and no half-written one stands beside it."""
    file.write_text(COMMENTED)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="base_url is missing"):
        editor.add_provider("alpha")
    with pytest.raises(ConfigurationError, match="unencrypted"):
        editor.add_provider("alpha", base_url="http://alpha.example/v1", keys=[KEY])
    with pytest.raises(UsageError, match=r"no provider 'opnai'.*Did you mean openai"):
        editor.add_route("x", [RouteTarget(Target("opnai", "m"))])
    with pytest.raises(UsageError, match="not a route's name"):
        editor.add_route("a/b", [RouteTarget(Target("openai", "m"))])
    with pytest.raises(UsageError, match="stands for this machine's own models"):
        editor.add_provider("node", base_url="https://x")
    with pytest.raises(UsageError, match="declared already, at another address"):
        (
            editor.add_provider("alpha2", base_url="https://a"),
            editor.add_provider("alpha2", base_url="https://b"),
        )
    assert {path.name for path in file.parent.iterdir()} == {"config.toml", ".config.toml.lock"}


def test_what_is_not_there_cannot_be_removed(editor: Editor, file: Path) -> None:
    """The nearest is named; a provider that a route needs stays."""
    file.write_text(COMMENTED)
    with pytest.raises(UsageError, match="Did you mean openai"):
        editor.remove_provider("opnai")
    with pytest.raises(UsageError, match="no route 'x'"):
        editor.remove_route("x")
    with pytest.raises(UsageError, match=r"is a target of chat.*shareai route remove chat"):
        editor.remove_provider("openai")
    assert file.read_text() == COMMENTED


def test_a_link_stays_a_link(editor: Editor, file: Path, tmp_path: Path) -> None:
    """People keep their configuration in repositories of dotfiles."""
    real = tmp_path / "dotfiles.toml"
    real.write_text(COMMENTED)
    file.symlink_to(real)
    editor.add_provider("groq")
    assert file.is_symlink()
    assert "groq" in real.read_text()


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With the place that cannot be used."""
    (tmp_path / "file").touch()
    with pytest.raises((StateError, ConfigurationError), match=str(tmp_path / "file")):
        Editor(tmp_path / "file" / "config.toml", {}, PRESETS).add_provider("openai")


def test_a_change_made_meanwhile_is_kept(paths: Paths, file: Path) -> None:
    """A person who saves the file while a command is at work has their way too."""
    file.write_text("[providers.groq]\n")

    class Interrupted(dict[str, str]):
        """An environment whose first reader is overtaken by a person's editor."""

        def get(self, *arguments: object) -> str:  # nothing is set
            if self.pop("first", None):
                file.write_text("[providers.groq]\n[providers.openai]\n")
            return ""

    Editor(file, Interrupted(first="x"), PRESETS).add_provider("gemini")
    assert set(tomllib.loads(file.read_text())["providers"]) == {"groq", "openai", "gemini"}

"""`shareai config` checks and shows, and never shows a key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import load_text
from shareai_cli.paths import Paths
from tests.support.commands import shareai
from tests.support.configuration import PLANTED

TEXT = """\
[providers.alpha]
base_url = "https://alpha.example/v1"
keys = ["env:ALPHA_KEY"]

[routes.chat]
targets = ["alpha/m", {target = "node/x", weight = 2}]
"""


@pytest.fixture
def file(paths: Paths) -> Path:
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(TEXT)
    return paths.config_file


def test_path_is_one_line_for_scripts(paths: Paths) -> None:
    """Also where the file does not exist yet."""
    outcome = shareai("config", "path")
    assert outcome == (0, f"{paths.config_file}\n", "")
    assert shareai("config", "path", "--json").json["state"] == str(paths.state)


def test_another_file_can_be_named(tmp_path: Path, file: Path) -> None:
    """`--config` comes before the command; a file that is missing is a mistake then."""
    other = tmp_path / "other.toml"
    assert shareai("--config", str(other), "config", "path").out == f"{other}\n"
    assert shareai("--config", str(other), "config", "show").code == 3
    other.write_text("[server]\nport = 7\n")
    assert shareai("--config", str(other), "config", "show", "--json").json["server"]["port"] == 7


def test_check_tells_what_is_declared(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good file is one line and exit code 0."""
    monkeypatch.setenv("ALPHA_KEY", PLANTED)
    outcome = shareai("config", "check")
    assert outcome == (0, f"{file}: ok, 1 provider, 1 route, 0 local models.\n", "")
    assert shareai("config", "check", "--json").json == {
        "schema": 1, "ok": True, "file": str(file), "problems": [],
    }  # fmt: skip


def test_check_finds_keys_and_models_that_cannot_be_had(file: Path) -> None:
    """The file is well-formed, and a gateway could not use it."""
    file.write_text(f'{TEXT}[local]\nmodels = ["/nowhere/x.gguf"]\n')
    outcome = shareai("config", "check")
    assert outcome.code == 3
    assert "Provider 'alpha': The variable ALPHA_KEY is not set." in outcome.err
    assert "There is no file /nowhere/x.gguf." in outcome.err
    found = shareai("config", "check", "--json")
    assert (found.code, found.json["ok"], len(found.json["problems"])) == (3, False, 2)


def test_check_finds_a_link_that_leads_nowhere(file: Path, tmp_path: Path) -> None:
    """Whoever made the link meant a file, and gets the defaults."""
    file.unlink()
    file.symlink_to(tmp_path / "nowhere.toml")
    outcome = shareai("config", "check")
    assert (outcome.code, outcome.out) == (3, "")
    assert f"{file} is a link to a file that is not there." in outcome.err


def test_check_names_the_mistake(file: Path) -> None:
    """File, line, key and the nearest known key; as JSON too."""
    file.write_text("[server]\nprot = 1\n")
    outcome = shareai("config", "check")
    assert outcome == (3, "", f"shareai: {file}, line 2: server.prot: unknown key.\n  Did you mean port?\n")
    found = shareai("config", "check", "--json")
    assert found.code == 3
    assert found.json["problems"] == [f"{file}, line 2: server.prot: unknown key. Did you mean port?"]


def test_show_is_a_configuration_in_full(file: Path) -> None:
    """What it prints can be read again and means the same."""
    shown = shareai("config", "show").out
    again = load_text(shown, file, {}, PRESETS)
    assert again == load_text(TEXT, file, {}, PRESETS)
    assert tomllib.loads(shown)["server"]["port"] == 6161
    found = shareai("config", "show", "--json").json
    assert found["source"] == str(file)
    assert found["providers"]["alpha"]["keys"] == ["env:ALPHA_KEY"]
    assert found["routes"]["chat"]["targets"][1] == {"target": "node/x", "weight": 2}


def test_show_never_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys found in the environment are named by their variable."""
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    outcome = shareai("config", "show")
    assert "# providers found through OPENAI_API_KEY" in outcome.out
    found = shareai("config", "show", "--json")
    assert found.json["discovered"] == ["OPENAI_API_KEY"]
    assert PLANTED not in outcome.out + outcome.err + found.out + found.err


def origins(*arguments: str) -> dict[str, tuple[object, str, str, int | None]]:
    """Return the value of each setting, and where it came from."""
    told = shareai(*arguments, "config", "show", "--origin", "--json").json["settings"]
    return {one["name"]: (one["value"], one["origin"], one["place"], one["line"]) for one in told}


def test_every_setting_tells_where_it_came_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and its line, a variable that goes before it, a preset, another setting, or the default."""
    file.write_text(
        '[server]\nport = 7000\nhost = "::1"\n\n[network]\nproxy = "http://user:pw@proxy.example:3128"\n\n'
        '[providers.alpha]\nbase_url = "https://alpha.example/v1"\nkeys = ["env:A"]\ntimeouts = {head = 3}\n'
        '[providers.beta]\nbase_url = "https://beta.example/v1"\nproxy = ""\n'
        '[providers.openai]\nprice_as = "mine"\n[routes.chat]\ntargets = ["alpha/m"]\n'
    )
    monkeypatch.setenv("SHAREAI_PORT", "7001")
    found = origins()
    assert found["server.port"] == (7001, "variable", "SHAREAI_PORT", None)
    assert found["server.host"] == ("::1", "file", "", 3)
    assert found["server.drain"] == (30.0, "default", "", None)
    assert found["providers.alpha.keys"] == (["env:A"], "file", "", 10)
    assert found["providers.alpha.timeouts.head"] == (3.0, "file", "", 11)
    assert found["providers.alpha.timeouts.gap"] == (120.0, "default", "", None)
    assert found["providers.alpha.proxy"] == ("http://********@proxy.example:3128", "file", "", 6)
    assert found["providers.beta.proxy"] == ("", "file", "", 14)
    assert found["providers.openai.base_url"] == (PRESETS["openai"].base_url, "preset", "openai", None)
    assert found["providers.openai.keys"] == (["env:OPENAI_API_KEY"], "preset", "openai", None)
    assert found["providers.openai.price_as"] == ("mine", "file", "", 16)
    assert found["routes.chat.targets"][1:] == ("file", "", 18)
    assert found["routes.chat.strategy"] == ("priority", "default", "", None)
    words = shareai("config", "show", "--origin").out
    assert "variable SHAREAI_PORT" in words
    assert f"{file.name}, line 3" in words
    assert "pw@" not in words


def test_what_the_environment_alone_declares_tells_its_variables(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider found through its key, a proxy, a part of an address; and which file it would be."""
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", PLANTED)
    blank = PRESETS["azure"].blank
    assert blank is not None
    monkeypatch.setenv(blank.variables[0], "mine")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    found = origins()
    assert found["providers.openai.keys"] == (["env:OPENAI_API_KEY"], "variable", "OPENAI_API_KEY", None)
    assert found["providers.openai.proxy"] == ("http://proxy.example:3128", "variable", "HTTPS_PROXY", None)
    assert found["providers.azure.base_url"][1:] == ("variable", blank.variables[0], None)
    told = shareai("config", "show", "--origin", "--json").json["file"]
    assert told == {
        "name": str(paths.config_file),
        "exists": False,
        "origin": "variable",
        "place": "SHAREAI_HOME",
    }
    assert PLANTED not in shareai("config", "show", "--origin").out


def test_the_file_tells_whether_a_flag_named_it(file: Path, tmp_path: Path) -> None:
    """`--config` goes before everything."""
    other = tmp_path / "other.toml"
    other.write_text("[server]\nport = 7\n")
    told = shareai("--config", str(other), "config", "show", "--origin", "--json").json
    assert told["file"] == {"name": str(other), "exists": True, "origin": "flag", "place": "--config"}
    assert "--config" in shareai("--config", str(other), "config", "show", "--origin").out.splitlines()[0]

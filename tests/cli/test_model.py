"""`shareai model` declares what this machine serves, by the files or the names that models have here."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from shareai_cli.cli.model.adding import memory_problem
from shareai_cli.paths import Paths
from tests.discovery.trees import manifest
from tests.support.commands import shareai
from tests.support.model_files import LLAMA, model_file
from tests.support.terminal import terminal


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_file(tmp_path / "models" / "qwen3.gguf", {**LLAMA, "tokenizer.chat_template": "{{ tools }}"})


@pytest.fixture
def blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of Ollama's, which calls it `org/llama3.2:3b`."""
    root, digest = tmp_path / "ollama", "1f" * 32
    monkeypatch.setenv("OLLAMA_MODELS", str(root))
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}]
    manifest(root, "registry.ollama.ai/org/llama3.2/3b", {"layers": layers})
    return model_file(root / "blobs" / f"sha256-{digest}")


def declared(paths: Paths) -> list[object]:
    local: list[object] = tomllib.loads(paths.config_file.read_text())["local"]["models"]
    return local


def test_a_machine_without_models_is_told_how_to_add_one(paths: Paths) -> None:
    """Whatever else there is to ask for."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(
        '[providers.a]\nbase_url = "http://127.0.0.1:9/v1"\nkeys = []\nmodels = ["m"]\n'
    )
    outcome = shareai("model", "list")
    assert outcome.out == ""
    assert "This machine serves no model yet. shareai model add MODEL.gguf\n" in outcome.err


def test_a_file_is_added_listed_and_removed(paths: Paths, model: Path) -> None:
    """Its whole life; the person's comment and the file stay."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text("# mine\n")
    added = shareai("model", "add", str(model))
    assert added.code == 0
    assert added.out == "Model node/qwen3 is added: llama, 0.0 MB, 8k tokens of context, tools.\n"
    assert declared(paths) == [str(model)]
    [listed] = shareai("model", "list", "--json").json["models"]
    assert "of 1 models" not in shareai("model", "list").err
    assert (listed["id"], listed["context"], listed["abilities"]) == ("node/qwen3", 8192, ["tools"])
    assert listed["state"] == "not loaded"
    removed = shareai("model", "remove", "qwen3", "--yes")
    assert removed == (0, f"Model node/qwen3 is removed; its file stays: {model}\n", "")
    assert declared(paths) == []
    assert model.exists()
    assert paths.config_file.read_text().startswith("# mine\n")


def test_adding_twice_does_no_harm(paths: Paths, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the path is written, and also by the name that the model has by now."""
    shareai("model", "add", str(model), "--name", "mine")
    before = paths.config_file.read_bytes()
    monkeypatch.chdir(model.parent)
    for what in ("qwen3.gguf", "../models/qwen3.gguf", str(model), "mine"):
        again = shareai("model", "add", what, "--json")
        assert (again.json["added"], again.json["model"]["name"]) == (False, "mine")
    assert paths.config_file.read_bytes() == before


def test_a_name_is_found_among_the_files_of_other_programs(paths: Paths, blob: Path) -> None:
    """By the name that they have there, or a part of it; asked for by what suits a name."""
    for what in ("llama3.2", "org/llama3.2:3b", "ORG/LLAMA3.2:3B"):
        outcome = shareai("model", "add", what, "--json")
        assert outcome.json["model"]["id"] == "node/llama3.2:3b"
        assert declared(paths) == [{"path": str(blob), "name": "llama3.2:3b"}]


def test_a_name_that_could_be_several_files_is_refused_with_them(paths: Paths) -> None:
    """The first one is what could be typed instead."""
    folder = Path(os.environ["HOME"]) / ".lmstudio" / "models" / "acme" / "wise"
    for size in ("q4", "q8"):
        model_file(folder / f"wise-{size}.gguf")
    outcome = shareai("model", "add", "wise")
    assert outcome.code == 2
    assert "'wise' could be acme/wise/wise-q4, acme/wise/wise-q8." in outcome.err
    assert "shareai model add acme/wise/wise-q4" in outcome.err
    assert shareai("model", "add", "acme/wise/wise-q4").code == 0
    assert "Did you mean wise-q4?" in shareai("model", "add", "wize-q4").err


def test_an_unknown_name_tells_how_to_get_a_file(paths: Paths) -> None:
    """Nothing is downloaded, nothing is written."""
    outcome = shareai("model", "add", "llama-9")
    assert (outcome.code, outcome.out) == (2, "")
    for words in ("'llama-9'", "shareai model pull", "ollama pull", "LM Studio"):
        assert words in outcome.err
    assert not paths.config_file.exists()


def test_a_file_that_cannot_be_served_is_refused_with_its_fault(paths: Paths, tmp_path: Path) -> None:
    """Nothing is written."""
    (tmp_path / "page.gguf").write_text("<html>")
    model_file(tmp_path / "mmproj.gguf", {"general.architecture": "clip"})
    for name, words in (
        ("page.gguf", "is not a GGUF file"),
        ("mmproj.gguf", "sees pictures"),
        ("none.gguf", "There is no file"),
    ):
        outcome = shareai("model", "add", str(tmp_path / name))
        assert (outcome.code, outcome.out) == (3, "")
        assert words in outcome.err
        assert name in outcome.err
    assert not paths.config_file.exists()


def test_a_folder_is_refused_with_what_it_holds(model: Path) -> None:
    """And what to type for the first."""
    outcome = shareai("model", "add", str(model.parent))
    assert outcome.code == 2
    assert "it holds qwen3.gguf" in outcome.err
    assert f"shareai model add {model}" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add",), "Missing argument"),
        (("add", "{model}", "--name", "a/b"), "is not a model's name"),
        (("add", "{model}", "--name", "qwen3"), "node/qwen3 is another file already"),
        (("remove", "qwen"), "Did you mean qwen3?"),
        (("remove", "qwen3"), "--yes confirms it"),
        (("remove", "tiny", "--yes"), "is a target of chat"),
    ],
)
def test_a_mistake_on_the_command_line_is_exit_code_2(
    paths: Paths, model: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    """Nothing is changed, nothing is on stdout, and the message helps."""
    shareai("model", "add", str(model))
    shareai("model", "add", str(model_file(tmp_path / "tiny.gguf")))
    shareai("route", "add", "chat", "node/tiny")
    before = paths.config_file.read_bytes()
    other = str(model_file(tmp_path / "other.gguf"))
    outcome = shareai("model", *(other if one == "{model}" else one for one in arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert paths.config_file.read_bytes() == before


def test_removing_asks_at_a_terminal(paths: Paths, model: Path) -> None:
    """Nothing typed means no."""
    shareai("model", "add", str(model))
    for answer, code, left in (("\r", 1, [str(model)]), ("n\r", 1, [str(model)]), ("y\r", 0, [])):
        with terminal("model", "remove", "qwen3") as running:
            running.until("[y/N] ")
            running.type(answer)
            assert running.end() == code
        assert declared(paths) == left
    assert model.exists()


def test_the_record_of_this_node_keeps_in_step(paths: Paths, model: Path, tmp_path: Path) -> None:
    """Where it was registered; where it was not there is none."""
    other = model_file(tmp_path / "other.gguf")
    shareai("model", "add", str(other))
    assert not paths.database.exists()
    assert shareai("node", "register").code == 0
    shareai("model", "add", str(model))
    assert shareai("node", "list", "--json").json["nodes"][0]["models"] == ["other", "qwen3"]
    shareai("model", "remove", "other", "--yes")
    assert shareai("node", "list", "--json").json["nodes"][0]["models"] == ["qwen3"]


def test_registering_names_files_as_adding_does(paths: Paths, blob: Path, tmp_path: Path) -> None:
    """What is there already keeps its name; parts and digests are no names; all are declared or none."""
    shareai("model", "add", "llama3.2", "--name", "small")
    part = model_file(tmp_path / "big-00001-of-00001.gguf")
    outcome = shareai("node", "register", str(blob), str(part), "--json")
    assert outcome.json["node"]["models"] == ["big", "small"]
    before = paths.config_file.read_bytes()
    good, bad = model_file(tmp_path / "good.gguf"), tmp_path / "bad.gguf"
    bad.write_bytes(b"PK")
    assert shareai("node", "register", str(good), str(bad)).code == 3
    assert paths.config_file.read_bytes() == before


def test_a_model_that_makes_embeddings_is_said_to_answer_no_chat(tmp_path: Path) -> None:
    """On stderr; it is added all the same."""
    values: dict[str, int | str] = {
        "general.architecture": "bert",
        "bert.context_length": 512,
        "bert.pooling_type": 1,
    }
    outcome = shareai("model", "add", str(model_file(tmp_path / "embed.gguf", values)))
    assert outcome.code == 0
    assert "answers no chat" in outcome.err


def test_a_model_larger_than_the_memory_is_said() -> None:
    """How large it is, how much there is, and what follows."""
    giga = 10**9
    assert memory_problem(giga, available=2 * giga, total=8 * giga) is None
    tight = memory_problem(3 * giga, available=2 * giga, total=8 * giga)
    assert tight is not None
    assert "take 3.0 GB" in tight
    assert "2.0 GB of memory are free" in tight
    hopeless = memory_problem(9 * giga, available=2 * giga, total=8 * giga)
    assert hopeless is not None
    assert "has 8.0 GB of memory" in hopeless
    assert "will not load" in hopeless

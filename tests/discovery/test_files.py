"""GGUF files that other programs have fetched are found where they keep them, within bounds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shareai_cli.config.sections import ROUTE_NAME
from shareai_cli.discovery.files import MOST_FILES, FoundFile, find_files
from shareai_cli.discovery.search import Search
from tests.discovery.trees import HEADER, gguf, hub_file, manifest, ollama_model
from tests.support.clock import FakeClock


@pytest.fixture
def home(isolated_environment: None, tmp_path: Path) -> Path:
    return Path(os.environ["HOME"])


@pytest.fixture
def found(home: Path, tmp_path: Path) -> Callable[..., list[FoundFile]]:
    """Search as in an environment of these variables; Ollama's system folders are no part of a test."""

    def find(**environ: str) -> list[FoundFile]:
        return list(find_files({"OLLAMA_MODELS": str(tmp_path / "none"), **environ}).files)

    return find


Find = Callable[..., list[FoundFile]]


def test_a_machine_without_models_has_none(found: Find) -> None:
    """No folder needs to be there."""
    assert found() == []


@pytest.mark.parametrize("root", [".lmstudio/models", ".cache/lm-studio/models"])
def test_lm_studio_keeps_publisher_and_repository(home: Path, found: Find, root: str) -> None:
    """In its present folder and in the former one; the projector of a model that sees is none itself."""
    path = gguf(home / root / "acme/Wise-8B-GGUF/Wise-8B-Q4_K_M.gguf", 76)
    gguf(path.with_name("mmproj-Wise-8B-F16.gguf"))
    [file] = found()
    assert file == FoundFile(
        "Wise-8B-Q4_K_M", "acme/Wise-8B-GGUF/Wise-8B-Q4_K_M", path, len(HEADER) + 76, "LM Studio"
    )


def test_lm_studio_may_have_been_moved(home: Path, found: Find, tmp_path: Path) -> None:
    """A file in the home names its folder."""
    gguf(tmp_path / "studio/models/acme/a/a.gguf")
    (home / ".lmstudio-home-pointer").write_text(f"{tmp_path}/studio\n")
    assert [file.id for file in found()] == ["a"]


def test_the_hugging_face_cache_is_links_to_blobs(home: Path, found: Find) -> None:
    """The link is what has a name; data sets, other formats and links that lead nowhere are left out."""
    hub = home / ".cache/huggingface/hub"
    link = hub_file(hub, "acme/Wise-GGUF", "wise-q4.gguf", more=9)
    hub_file(hub, "acme/Wise-GGUF", "config.json")
    lost = hub_file(hub, "acme/Lost-GGUF", "lost.gguf")
    lost.resolve().unlink()
    gguf(hub / "datasets--acme--words" / "snapshots" / "a" / "words.gguf")
    [file] = found()
    assert file == FoundFile("wise-q4", "acme/Wise-GGUF/wise-q4", link, len(HEADER) + 9, "Hugging Face")


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HF_HOME", "hub"),
        ("HF_HUB_CACHE", "."),
        ("HUGGINGFACE_HUB_CACHE", "."),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ],
)
def test_variables_move_the_hugging_face_cache(
    found: Find, tmp_path: Path, variable: str, below: str
) -> None:
    """As they do for its own programs."""
    hub_file(tmp_path / below, "acme/a", "a.gguf")
    assert [file.id for file in found(**{variable: str(tmp_path)})] == ["a"]


def test_of_several_revisions_the_one_that_main_means_is_taken(home: Path, found: Find) -> None:
    """A file that only an older one has is found as well."""
    hub = home / ".cache/huggingface/hub"
    hub_file(hub, "acme/a", "both.gguf", revision="a-former", more=1)
    hub_file(hub, "acme/a", "only.gguf", revision="a-former")
    hub_file(hub, "acme/a", "both.gguf", revision="b-present", more=2)
    assert {(file.id, file.path.parent.name) for file in found()} == {
        ("both", "b-present"),
        ("only", "a-former"),
    }


def test_a_model_in_parts_is_one_model(home: Path, found: Find) -> None:
    """Its first part is loaded, its size is that of all; where a part is missing there is no model."""
    folder = home / ".lmstudio/models/acme/big"
    for number in (1, 2, 3):
        gguf(folder / f"big-q8-{number:05}-of-00003.gguf", 100)
    for number in (1, 3):
        gguf(folder / f"torn-{number:05}-of-00003.gguf")
    [file] = found()
    assert (file.id, file.name, file.size) == ("big-q8", "acme/big/big-q8", 3 * (len(HEADER) + 100))
    assert file.path.name == "big-q8-00001-of-00003.gguf"


def test_ollama_names_blobs_by_manifests(found: Find, tmp_path: Path) -> None:
    """The names are those that Ollama shows."""
    blob = ollama_model(tmp_path, "llama3.2", "3b")
    ollama_model(tmp_path, "mistral", "latest")
    ollama_model(tmp_path, "wise", "q4", registry="registry.ollama.ai/acme")
    ollama_model(tmp_path, "Wise-GGUF", "Q4_K_M", registry="hf.co/acme")
    files = {file.id: file for file in found(OLLAMA_MODELS=str(tmp_path))}
    assert {one: file.name for one, file in files.items()} == {
        "llama3.2:3b": "llama3.2:3b",
        "mistral": "mistral:latest",
        "wise:q4": "acme/wise:q4",
        "Wise-GGUF:Q4_K_M": "hf.co/acme/Wise-GGUF:Q4_K_M",
    }
    assert files["llama3.2:3b"].path == blob


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:x/../../secret",
        "sha256:../../../secret",
        "sha256:" + "a" * 63,
        "../../secret",
        "sha256:" + "A" * 64,
        "",
    ],
)
def test_a_manifest_cannot_name_a_file_elsewhere(found: Find, tmp_path: Path, digest: str) -> None:
    """A digest is 64 hexadecimal digits, and nothing else becomes a path."""
    gguf(tmp_path / "secret")
    (tmp_path / "blobs" / "sha256-x").mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
    manifest(tmp_path, "registry.ollama.ai/library/x/latest", {"layers": [layer]})
    assert found(OLLAMA_MODELS=str(tmp_path)) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"layers": 3}', '{"layers": [{}]}', "[" * 60_000, "\udcff"])
def test_a_broken_manifest_is_no_model(found: Find, tmp_path: Path, text: str) -> None:
    """And the others are found all the same."""
    ollama_model(tmp_path, "good", "latest")
    file = tmp_path / "manifests/registry.ollama.ai/library/bad/latest"
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert [one.id for one in found(OLLAMA_MODELS=str(tmp_path))] == ["good"]


def test_what_only_has_the_name_of_gguf_is_left_out(home: Path, found: Find) -> None:
    """A download that broke off, a page, a folder, a pipe."""
    folder = home / ".lmstudio/models/acme/a"
    gguf(folder / "good.GGUF")
    (folder / "empty.gguf").touch()
    (folder / "page.gguf").write_text("<html>")
    (folder / "folder.gguf").mkdir()
    os.mkfifo(folder / "pipe.gguf")
    gguf(folder / "wise\x1b[31m.gguf")
    assert [file.id for file in found()] == ["good"]


def test_the_same_model_at_two_places_is_there_once(home: Path, found: Find) -> None:
    """Where name and size are the same; another one of the same name is another model."""
    gguf(home / ".lmstudio/models/acme/a/wise.gguf", 5)
    hub_file(home / ".cache/huggingface/hub", "acme/a", "wise.gguf", more=5)
    hub_file(home / ".cache/huggingface/hub", "other/a", "wise.gguf", more=6)
    assert [(file.id, file.owner) for file in found()] == [("wise", "LM Studio"), ("wise-2", "Hugging Face")]


def test_an_id_can_stand_in_a_configuration(home: Path, found: Find) -> None:
    """Whatever the file is called."""
    for name in ("Wise (new) 8B", "größe", "-x.", "…"):
        gguf(home / ".lmstudio/models/acme/a" / f"{name}.gguf", len(name))
    ids = [file.id for file in found()]
    assert sorted(ids) == ["Wise-new-8B", "gr-e", "model", "x"]
    assert all(map(ROUTE_NAME.fullmatch, ids))


def test_llama_cpp_has_a_cache_of_its_own(found: Find, tmp_path: Path) -> None:
    """Flat, with the repository in the file's name."""
    gguf(tmp_path / "acme_Wise-GGUF_wise-q4.gguf")
    assert [(one.id, one.owner) for one in found(LLAMA_CACHE=str(tmp_path))] == [
        ("acme_Wise-GGUF_wise-q4", "llama.cpp")
    ]


def test_a_circle_of_links_ends(home: Path, found: Find) -> None:
    """By its depth."""
    folder = home / ".lmstudio/models"
    gguf(folder / "a.gguf")
    (folder / "again").symlink_to(folder)
    assert {file.id for file in found()} == {"a"}


def test_a_search_ends_after_so_many_entries_and_files(home: Path) -> None:
    """What was found until then is kept, and it is said that there is more."""
    for number in range(MOST_FILES + 1):
        gguf(home / ".lmstudio/models/acme" / f"{number:04}.gguf")
    most = find_files({"OLLAMA_MODELS": "/none"})
    assert (len(most.files), most.complete) == (MOST_FILES, False)
    some = find_files({"OLLAMA_MODELS": "/none"}, Search(entries=20))
    assert (len(some.files) < 20, some.complete) == (True, False)


def test_a_search_ends_after_its_time(home: Path) -> None:
    """A folder may be on a disk that sleeps."""
    gguf(home / ".lmstudio/models/acme/a.gguf")
    clock = FakeClock()
    search = Search(seconds=1.0, clock=clock)
    clock.now += 2.0
    found = find_files({"OLLAMA_MODELS": "/none"}, search)
    assert (found.files, found.complete) == ((), False)

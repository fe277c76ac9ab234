"""`shareai model set` says how a model is loaded, where a person knows better than what is chosen."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shareai_cli.paths import Paths
from tests.support.commands import shareai
from tests.support.model_files import model_file


@pytest.fixture
def path(tmp_path: Path, paths: Paths) -> Path:
    made = model_file(tmp_path / "wise.gguf")
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(f'# mine\n[local]\nmodels = [\n  "{made}",  # the one\n]\n')
    return made


def models(paths: Paths) -> list[object]:
    declared: list[object] = tomllib.loads(paths.config_file.read_text())["local"]["models"]
    return declared


def test_settings_are_kept_and_unset(path: Path, paths: Paths) -> None:
    """Numbers, words and times; the person's comments stay."""
    given = ("context=8192", "slots=4", "gpu_layers=-1", "flash_attention=true", "idle=1h", "threads=2")
    outcome = shareai("model", "set", "node/wise", *given)
    assert outcome.code == 0
    assert outcome.out == (
        "Model node/wise: context 8192, threads 2, gpu_layers -1, slots 4, flash_attention true, idle 3600s\n"
    )
    assert models(paths) == [
        {"path": str(path), "context": 8192, "slots": 4, "gpu_layers": -1, "flash_attention": True,
         "idle": "1h", "threads": 2}
    ]  # fmt: skip
    outcome = shareai("model", "set", "wise", "slots=auto", "idle=never", "--json")
    assert (outcome.json["model"]["slots"], outcome.json["model"]["idle"]) == (None, "never")
    text = paths.config_file.read_text()
    assert text.startswith("# mine\n")
    assert "# the one" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("wise", "slots"), 2, "not of the form SETTING=VALUE"),
        (("wise", "slot=4"), 2, "slots"),
        (("wize", "slots=4"), 2, "Did you mean wise?"),
        (("wise", "slots=0"), 3, "from 1 to 128"),
        (("wise", "slots=many"), 3, "whole number"),
        (("wise", "idle=soon"), 3, "a time from a second to a year"),
        (("wise",), 2, "Missing argument"),
    ],
)
def test_a_mistake_changes_nothing(
    path: Path, paths: Paths, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """And the message helps."""
    before = paths.config_file.read_bytes()
    outcome = shareai("model", "set", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert paths.config_file.read_bytes() == before

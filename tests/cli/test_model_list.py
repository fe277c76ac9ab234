"""`shareai model list` shows what this machine serves and what other programs keep, and how each fits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from shareai_cli.gateway.fleet import demo_model
from shareai_cli.paths import Paths
from tests.discovery.trees import hub_file, ollama_model
from tests.support.commands import shareai
from tests.support.model_files import LLAMA, model_file

DEMO = Path(demo_model().path)

FACTS = {
    **LLAMA,
    "general.file_type": 15,
    "llama.block_count": 4,
    "llama.embedding_length": 512,
    "llama.attention.head_count": 8,
    "tokenizer.chat_template": "<|im_start|>{{ tools }}",
}


@pytest.fixture
def home(isolated_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return Path(os.environ["HOME"])


def test_a_model_is_listed_with_what_its_header_tells(home: Path, paths: Paths, tmp_path: Path) -> None:
    """Size, quantisation, context, template, tools; what it needs, where that is, and that nothing runs."""
    path = model_file(tmp_path / "wise.gguf", FACTS)
    shareai("model", "add", str(path))
    [listed] = shareai("model", "list", "--json").json["models"]
    needs = path.stat().st_size + 4096 * 4 * 8 * (64 + 64) * 2 + (256 << 20) + path.stat().st_size // 20
    assert listed == {
        "id": "node/wise", "path": str(path), "owner": None, "state": "not loaded", "reason": "",
        "size": path.stat().st_size, "architecture": "llama", "quantization": "Q4_K_M", "context": 8192,
        "template": "chatml", "abilities": ["tools"], "needs": needs, "fit": "ram",
    }  # fmt: skip
    heading, line = shareai("model", "list").out.splitlines()
    assert " ".join(heading.split()) == "MODEL SIZE QUANT CONTEXT TEMPLATE TOOLS NEEDS FITS STATE"
    assert " ".join(line.split()) == "node/wise 0.0 MB Q4_K_M 8k chatml yes 0.3 GB RAM not loaded"


def test_the_files_of_other_programs_are_listed_where_they_are(
    home: Path, paths: Paths, tmp_path: Path
) -> None:
    """LM Studio's, the Hugging Face cache's and Ollama's; with what to type for one."""
    lm_studio = home / ".lmstudio/models/acme/Wise-GGUF/Wise-Q8_0.gguf"
    hub = hub_file(home / ".cache/huggingface/hub", "acme/Sage-GGUF", "sage-q4_k_m.gguf")
    blob = ollama_model(tmp_path / "ollama", "llama3.2", "3b")
    lm_studio.parent.mkdir(parents=True)
    for number, path in enumerate((lm_studio, hub, blob)):
        shutil.copy(DEMO, path)
        with path.open("ab") as file:
            file.write(bytes(number))
    outcome = shareai("model", "list", "--json")
    assert {(one["id"], one["path"], one["owner"], one["state"]) for one in outcome.json["found"]} == {
        ("Wise-Q8_0", str(lm_studio), "LM Studio", "found"),
        ("sage-q4_k_m", str(hub), "Hugging Face", "found"),
        ("llama3.2:3b", str(blob), "Ollama", "found"),
    }
    outcome = shareai("model", "list")
    assert "Ollama's" in outcome.out
    assert "shareai model run Wise-Q8_0" in outcome.err
    assert "Ollama's" not in shareai("model", "list", "--served").out


def test_a_model_that_is_served_is_not_found_once_more(home: Path, paths: Paths, tmp_path: Path) -> None:
    """Whichever link leads to it."""
    link = hub_file(home / ".cache/huggingface/hub", "acme/Sage-GGUF", "sage.gguf")
    shutil.copy(DEMO, link)
    shareai("model", "add", str(link.resolve()), "--name", "mine")
    listed = shareai("model", "list", "--json").json
    assert [one["id"] for one in listed["models"]] == ["node/mine"]
    assert listed["found"] == []


def test_a_broken_file_is_one_line(home: Path, paths: Paths, tmp_path: Path) -> None:
    """One that is declared names its file; one that was found is left to its program."""
    path = tmp_path / "bad.gguf"
    shutil.copy(DEMO, path)
    shareai("model", "add", str(path))
    path.write_bytes(b"GGUF" + bytes(3))
    hub_file(home / ".cache/huggingface/hub", "acme/a", "torn.gguf")
    outcome = shareai("model", "list")
    assert outcome.code == 0
    assert "node/bad" in outcome.out
    assert "broken" in outcome.out
    assert f"node/bad: {path} is cut off within its header." in outcome.err
    assert "torn: its header holds no model that answers" in outcome.err
    assert "Traceback" not in outcome.err
    [listed] = shareai("model", "list", "--json").json["models"]
    assert (listed["state"], listed["size"], listed["fit"]) == ("broken", None, None)


def test_a_context_that_was_set_is_what_a_request_may_take(home: Path, paths: Paths, tmp_path: Path) -> None:
    """And more of it needs more memory; what does not fit is said to be so."""
    path = model_file(tmp_path / "wise.gguf", FACTS)
    shareai("model", "add", str(path))
    [before] = shareai("model", "list", "--json").json["models"]
    paths.config_file.write_text(f'[local]\nmodels = [{{path = "{path}", context = 16000000}}]\n')
    [after] = shareai("model", "list", "--json").json["models"]
    assert (after["context"], after["fit"]) == (8192, "no")
    assert after["needs"] > 100 * before["needs"]

"""`shareai model run` talks to a model of this machine, whoever keeps its file."""

from __future__ import annotations

import shutil
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from shareai_cli.gateway.fleet import demo_model
from tests.discovery.trees import ollama_model
from tests.support.served import RunningGateway, run_shareai
from tests.support.terminal import terminal

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")

ANSWER_START = "Hello! This is ShareAI's demo model"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ollama's folder, with the model `tiny:1b`, and another one that nobody made whole."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    blob = ollama_model(tmp_path / "ollama", "tiny", "1b")
    shutil.copy(demo_model().path, blob)
    ollama_model(tmp_path / "ollama", "torn", "latest")
    return blob


async def test_a_model_of_another_program_answers(store: Path, tmp_path: Path) -> None:
    """It is declared where its file is, which nobody copies; a second time it is there already."""
    first = await run_shareai(tmp_path / "home", "model", "run", "tiny", "Hello?")
    assert first.code == 0
    assert first.out.startswith(ANSWER_START)
    assert "node/tiny:1b is added" in first.err
    config = tomllib.loads((tmp_path / "home" / "config.toml").read_text())
    assert config["local"]["models"] == [{"path": str(store), "name": "tiny:1b"}]
    again = await run_shareai(tmp_path / "home", "model", "run", "node/tiny:1b", "--json", stdin=b"Hello?")
    assert again.json["content"].startswith(ANSWER_START)
    assert again.json["model"] == "node/tiny:1b"
    assert again.err == ""


async def test_a_running_gateway_serves_it_and_tells_that_it_is_loaded(store: Path, tmp_path: Path) -> None:
    """The gateway takes it up while it runs."""
    async with await RunningGateway.start(tmp_path / "home") as gateway:
        states = await gateway.shareai("model", "list", "--json")
        assert [one["state"] for one in states.json["models"]] == ["not loaded"]
        assert (await gateway.shareai("model", "run", "tiny", "Hello?")).out.startswith(ANSWER_START)
        [served] = (await gateway.shareai("model", "list", "--json")).json["models"]
        assert (served["id"], served["state"]) == ("node/tiny:1b", "loaded")


def test_without_a_question_it_is_a_conversation(store: Path, tmp_path: Path) -> None:
    """At a terminal, as 'shareai chat' has it."""
    environ = {"SHAREAI_HOME": str(tmp_path / "home"), "COLUMNS": "100", "LINES": "30"}
    with terminal("model", "run", "tiny", environ=environ) as person:
        assert "node/tiny:1b" in person.until("> ")
        person.type("Hello!\r")
        assert "demo model" in person.until("free")
        person.until("> ")
        person.type("/quit\r")
        assert person.end() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing", "Hello?"), 2, "no program on this machine keeps a model"),
        (("torn", "Hello?"), 3, "holds no model"),
        (("tiny",), 2, "There is no question."),
        ((), 2, "Missing argument"),
    ],
)
async def test_a_mistake_declares_nothing(
    store: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """It is said what is wrong, and nothing is written."""
    outcome = await run_shareai(tmp_path / "home", "model", "run", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert not (tmp_path / "home" / "config.toml").exists()

"""`shareai init` finds what is there, shows what it would write, and writes it once somebody agrees."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shareai_cli.paths import Paths
from tests.support.commands import Outcome, shareai
from tests.support.configuration import PLANTED, read
from tests.support.engines import engine, ollama, vllm
from tests.support.model_files import model_file
from tests.support.terminal import terminal

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


@pytest.fixture
def port() -> Iterator[str]:
    """Yield a port on which nobody listens, so that no engine of this machine's is found."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield str(taken.getsockname()[1])


@pytest.fixture(autouse=True)
def no_models_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    return PLANTED


def put_model(name: str = "wise") -> Path:
    return model_file(Path(os.environ["HOME"]) / f".lmstudio/models/acme/{name}-GGUF/{name}.gguf")


def init(*arguments: str, port: str) -> Outcome:
    return shareai("init", "--port", port, *arguments)


def test_with_nothing_to_find_it_says_what_to_do(paths: Paths, port: str) -> None:
    """And writes nothing: it is never needed."""
    outcome = init("--yes", port=port)
    assert (outcome.code, outcome.out) == (0, "")
    assert "Nothing was found: no key" in outcome.err
    assert "Next: shareai provider add openai" in outcome.err
    assert not paths.config_file.exists()


def test_what_is_found_is_shown_and_written(paths: Paths, port: str, key: str) -> None:
    """A key by its variable alone, a file by its path, and a route over both; what is shown is the file."""
    model = put_model()
    outcome = init("--yes", port=port)
    assert outcome.code == 0
    text = paths.config_file.read_text()
    assert text.rstrip() in outcome.out
    assert paths.config_file.stat().st_mode & 0o777 == 0o600
    settings = read(text, os.environ)
    assert [one.name for one in settings.providers["openai"].keys] == ["env:OPENAI_API_KEY"]
    assert [(one.id, one.path) for one in settings.local.models] == [("wise", str(model))]
    assert [one.target.name for one in settings.routes["chat"].targets] == ["node/wise", "openai/gpt-5-mini"]
    assert "OPENAI_API_KEY: a key of OpenAI" in outcome.err
    assert outcome.err.endswith("Next: shareai provider test, then shareai serve\n")
    assert key not in outcome.out + outcome.err + text


def test_the_cloud_can_be_first(paths: Paths, port: str, key: str) -> None:
    """By an option, where nobody is asked."""
    put_model()
    assert init("--yes", "--first", "cloud", port=port).code == 0
    [first, _] = read(paths.config_file.read_text()).routes["chat"].targets
    assert first.target.name == "openai/gpt-5-mini"


def test_a_second_run_finds_nothing_new(paths: Paths, port: str, key: str) -> None:
    """The file stays as it is, to the byte."""
    put_model()
    init("--yes", port=port)
    before = paths.config_file.read_bytes()
    outcome = init("--yes", port=port)
    assert (outcome.code, outcome.out) == (0, f"Nothing is new: {paths.config_file} stays as it is.\n")
    assert "Next: shareai serve" in outcome.err
    assert paths.config_file.read_bytes() == before


def test_keys_that_were_typed_are_not_overlooked(paths: Paths, port: str) -> None:
    """They are no longer found anywhere, and what is declared is as good as found."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(
        '[providers.openai]\nkeys = ["file:openai.key"]\n\n[routes.c]\ntargets = ["openai/m"]\n'
    )
    outcome = init("--yes", port=port)
    assert outcome == (
        0, f"Nothing is new: {paths.config_file} stays as it is.\n", "\nNext: shareai serve\n"
    )  # fmt: skip


def test_what_stands_in_the_file_is_kept(
    paths: Paths, port: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments, order, a route of one's own; shown is the difference, and how it could stand in."""
    paths.config_file.parent.mkdir(parents=True)
    mine = '# mine\n[providers.openai] # theirs\nkeys = ["env:OPENAI_API_KEY"]\n\n' \
           '[routes.talk]\ntargets = ["openai/gpt-6"] # the best\n'  # fmt: skip
    paths.config_file.write_text(mine)
    monkeypatch.setenv("GROQ_API_KEY", PLANTED)
    outcome = init("--yes", port=port)
    assert outcome.code == 0
    text = paths.config_file.read_text()
    lines = [line for line in mine.splitlines() if line]
    assert [line for line in text.splitlines() if line in lines] == lines
    assert "\n+[providers.groq]\n" in outcome.out
    assert "\n-" not in outcome.out.replace("\n--- ", "")
    assert "shareai route add talk openai/gpt-6 groq/openai/gpt-oss-120b" in outcome.err
    assert list(read(text, os.environ).routes) == ["talk"]


def test_engines_are_found_where_they_listen(paths: Paths, key: str) -> None:
    """Each becomes a provider without a key; a port can be named in place of the usual ones."""
    with engine(ollama("llama3.2:3b")) as one, engine(vllm("qwen3")) as two:
        outcome = shareai("init", "--yes", "--port", str(one), "--port", str(two))
    assert outcome.code == 0
    assert f"Ollama at http://127.0.0.1:{one}/v1: llama3.2:3b" in outcome.err
    settings = read(paths.config_file.read_text())
    assert settings.providers["ollama"].base_url == f"http://127.0.0.1:{one}/v1"
    assert [target.target.name for target in settings.routes["chat"].targets] == [
        "ollama/llama3.2:3b",
        "vllm/qwen3",
        "openai/gpt-5-mini",
    ]


@pytest.mark.parametrize("arguments", [(), ("--no-input",)])
def test_where_nobody_can_be_asked_nothing_is_written(
    paths: Paths, port: str, key: str, arguments: tuple[str, ...]
) -> None:
    """It is shown all the same, with the line that writes it."""
    outcome = init(*arguments, port=port)
    assert outcome.code == 2
    assert "[providers.openai]" in outcome.out
    assert outcome.err.endswith(
        "shareai: Nothing was written: nobody can be asked here.\n  shareai init --yes writes it.\n"
    )
    assert not paths.config_file.exists()


def test_json_tells_what_would_be_and_writes_with_yes_alone(paths: Paths, port: str, key: str) -> None:
    """Keys by their variables; twice gives the same, with nothing new."""
    put_model()
    told = init("--json", port=port).json
    assert (told["written"], paths.config_file.exists()) == (False, False)
    assert told["found"]["keys"] == [{"provider": "openai", "title": "OpenAI", "variable": "OPENAI_API_KEY"}]
    assert [one["id"] for one in told["found"]["files"]] == ["wise"]
    assert told["new"] == {"providers": ["openai"], "local_models": ["wise"], "routes": ["chat"]}
    done = init("--json", "--yes", port=port)
    assert (done.json["written"], done.err) == (True, "")
    assert paths.config_file.read_text() == told["text"]
    again = init("--json", "--yes", port=port).json
    assert (again["written"], again["text"]) == (False, None)
    assert again["new"] == {"providers": [], "local_models": [], "routes": []}
    assert key not in done.out


def test_a_broken_file_is_told_and_left(paths: Paths, port: str, key: str) -> None:
    """Before anything is proposed."""
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text("[providers\n")
    outcome = init("--yes", port=port)
    assert outcome.code == 3
    assert "line 1" in outcome.err
    assert paths.config_file.read_text() == "[providers\n"


def test_another_file_need_not_be_there_yet(tmp_path: Path, port: str, key: str) -> None:
    """As `--config` names it."""
    outcome = shareai("--config", str(tmp_path / "other.toml"), "init", "--yes", "--port", port)
    assert outcome.code == 0
    assert "[providers.openai]" in (tmp_path / "other.toml").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that root cannot write either")
def test_a_folder_that_cannot_be_made_is_said(port: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what moves it."""
    monkeypatch.setenv("SHAREAI_HOME", "/proc/shareai")
    outcome = init("--yes", port=port)
    assert outcome.code == 1
    assert "cannot be made" in outcome.err
    assert "SHAREAI_HOME moves all files" in outcome.err


@needs_terminal
def test_a_person_is_asked_who_is_first_and_whether_to_write(paths: Paths, port: str, key: str) -> None:
    """Nothing is written before the answer; what is no answer is asked again."""
    put_model()
    with terminal("init", "--port", port) as screen:
        screen.until("Which first, the other standing in? [O/c] ")
        screen.type("perhaps\n")
        screen.until("Type o (own machine) or c (cloud).")
        screen.until("[O/c] ")
        screen.type("cloud\n")
        assert 'keys = ["env:OPENAI_API_KEY"]' in screen.until(f"Write it to {paths.config_file}? [Y/n] ")
        assert not paths.config_file.exists()
        screen.type("\n")
        assert screen.end() == 0
        assert screen.text.endswith("Next: shareai provider test, then shareai serve\n")
        assert key not in screen.raw
    [first, second] = read(paths.config_file.read_text()).routes["chat"].targets
    assert (first.target.name, second.target.name) == ("openai/gpt-5-mini", "node/wise")


@needs_terminal
@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [("n\n", 1, "Nothing was written."), ("\x04", 1, "Given up."), ("\x03", 130, "")],
    ids=["no", "Ctrl-D", "Ctrl-C"],
)
def test_a_person_may_refuse(paths: Paths, port: str, key: str, typed: str, code: int, says: str) -> None:
    """By an answer, by the end of the input, or by an interruption."""
    with terminal("init", "--port", port) as screen:
        screen.until("[Y/n] ")
        screen.type(typed)
        assert screen.end() == code
        assert says in screen.text
        assert "Traceback" not in screen.text
    assert not paths.config_file.exists()


@needs_terminal
def test_a_terminal_that_can_little_gets_plain_text(paths: Paths, port: str, key: str) -> None:
    """No control sequence at all, as in every terminal here: there is nothing to draw."""
    with terminal("init", "--port", port, "--yes", environ={"TERM": "dumb", "NO_COLOR": "1"}) as screen:
        assert screen.end() == 0
        assert "\x1b" not in screen.raw
        assert f"{paths.config_file} is written." in screen.text

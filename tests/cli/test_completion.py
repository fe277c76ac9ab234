"""Shells complete commands, options and names with the scripts that are kept in the repository."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shareai_cli.catalog.offered import OfferedModels
from shareai_cli.paths import Paths
from shareai_cli.types import DEMO_MODEL
from tests.support.commands import shareai
from tests.support.terminal import Terminal, terminal_of

SCRIPTS = Path(__file__).parents[2] / "completions"
FILES = {"bash": "shareai.bash", "zsh": "shareai.zsh", "fish": "shareai.fish", "powershell": "shareai.ps1"}

CONFIGURATION = """\
[providers.alpha]
base_url = "http://127.0.0.1:9/v1"
keys = ["env:ALPHA_KEY"]
models = ["declared"]

[local]
models = ["~/models/own-8b.gguf", {path = "x.gguf", name = "named"}]

[routes.chat]
targets = ["alpha/routed"]
"""

STARTS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
LOADS = {
    "bash": 'eval "$(shareai completion bash)"',
    "zsh": 'eval "$(shareai completion zsh)"',
    "fish": "shareai completion fish | source",
}
"""How the help says that each is loaded."""

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
INSTALLS = {
    "bash": (".local/share/bash-completion/completions/shareai", f". {BASH_COMPLETION}"),
    "zsh": ("functions/_shareai", "fpath=($HOME/functions $fpath); autoload -Uz compinit; compinit -u -D"),
    "fish": (".config/fish/completions/shareai.fish", "set fish_complete_path ~/.config/fish/completions"),
}
"""Where each looks for scripts, and what a person's own start of it has that lets it."""


def candidates(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """Ask as the scripts do, what the last word could become; the meanings are left out."""
    *before, incomplete = words
    monkeypatch.setenv("_SHAREAI_COMPLETE", f"+{incomplete}")
    outcome = shareai(*before)
    monkeypatch.delenv("_SHAREAI_COMPLETE")
    assert (outcome.code, outcome.err) == (0, "")
    return [line.partition("\t")[0] for line in outcome.out.splitlines()]


@pytest.fixture
def declared(paths: Paths) -> Paths:
    """Declare a provider, models of this machine and a route; one provider was once asked for its models."""
    paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(CONFIGURATION)
    offered = OfferedModels(paths.offered_file)
    offered.learn("alpha", ["llama3.2:3b", "org/large"])
    offered.learn("gone", ["other"])
    return paths


@pytest.mark.parametrize("shell", FILES)
def test_the_kept_scripts_are_what_the_command_prints(shell: str) -> None:
    """A change shows in both, or here."""
    outcome = shareai("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (SCRIPTS / FILES[shell]).read_text()
    assert shareai("completion", shell, "--json").json["script"] == outcome.out


def test_an_unknown_shell_is_refused_with_the_known_ones() -> None:
    """As any other wrong value."""
    outcome = shareai("completion", "csh")
    assert outcome.code == 2
    assert "It takes bash, zsh, fish or powershell." in outcome.err


# -- what is completed


def test_commands_and_options_are_completed_with_their_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the root from its table, of a group from its module; an option's values where they are few."""
    assert candidates(monkeypatch, "pro") == ["provider"]
    assert candidates(monkeypatch, "route", "") == [
        "add", "list", "show", "explain", "remove", "disable", "enable", "drain", "reweight",
    ]  # fmt: skip
    assert candidates(monkeypatch, "--no-input", "--debug", "route", "sh") == ["show"]
    assert candidates(monkeypatch, "usage", "--j") == ["--json"]
    assert candidates(monkeypatch, "usage", "--by", "m") == ["model"]
    assert candidates(monkeypatch, "usage", "--by=m") == ["--by=model"]
    monkeypatch.setenv("_SHAREAI_COMPLETE", "+usa")
    assert shareai().out == "usage\tReport requests, tokens and costs.\n"


def test_names_are_completed_from_configuration_and_memory(
    monkeypatch: pytest.MonkeyPatch, declared: Paths
) -> None:
    """Providers that are not declared any more are not remembered; a bare name counts once it is begun."""
    assert candidates(monkeypatch, "route", "show", "") == ["chat"]
    assert candidates(monkeypatch, "route", "add", "new", "al") == [
        "alpha/declared", "alpha/llama3.2:3b", "alpha/org/large", "alpha/routed",
    ]  # fmt: skip
    assert candidates(monkeypatch, "route", "add", "new", "node/") == ["node/own-8b", "node/named"]
    declared.config_file.write_text(CONFIGURATION + "nonsense = [\n")
    assert candidates(monkeypatch, "route", "show", "") == []


def test_keys_and_requests_are_completed_from_the_accounts(
    monkeypatch: pytest.MonkeyPatch, declared: Paths
) -> None:
    """Valid keys only, the newest first; without accounts there is nothing to say, and nothing is made."""
    assert candidates(monkeypatch, "key", "revoke", "") == []
    assert candidates(monkeypatch, "explain", "") == ["last"]
    assert not declared.database.exists()
    for name in ("laptop", "phone", "gone"):
        assert shareai("key", "create", name).code == 0
    assert shareai("key", "revoke", "gone", "--yes").code == 0
    assert candidates(monkeypatch, "key", "revoke", "") == ["phone", "laptop"]
    assert candidates(monkeypatch, "key", "revoke", "la") == ["laptop"]


def test_what_limits_stand_on_is_completed(monkeypatch: pytest.MonkeyPatch, declared: Paths) -> None:
    """Of what first, then its names; then the limits' own names, with what goes between them and a value."""
    assert candidates(monkeypatch, "limit", "set", "team/") == []
    assert not declared.database.exists()
    shareai("team", "create", "dev")
    shareai("key", "create", "ci")
    kinds = ["organization", "team/", "key/", "route/", "target/"]
    assert candidates(monkeypatch, "limit", "set", "") == kinds
    assert candidates(monkeypatch, "limit", "list", "te") == ["team/"]
    assert candidates(monkeypatch, "limit", "remove", "team/") == ["team/dev", "team/default"]
    assert candidates(monkeypatch, "limit", "set", "key/c") == ["key/ci"]
    assert candidates(monkeypatch, "limit", "set", "route/") == ["route/chat"]
    assert candidates(monkeypatch, "limit", "set", "target/alpha/d") == ["target/alpha/declared"]
    assert candidates(monkeypatch, "limit", "set", "nothing/") == []
    assert candidates(monkeypatch, "limit", "set", "team/dev", "budget_t") == ["budget_total="]
    assert candidates(monkeypatch, "limit", "remove", "team/dev", "budget_t") == ["budget_total"]
    assert candidates(monkeypatch, "key", "create", "x", "--team", "d") == ["dev", "default"]
    assert candidates(monkeypatch, "team", "show", "de") == ["dev", "default"]


def test_a_fresh_installation_completes_what_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers by the keys in the environment, else the demo model."""
    assert candidates(monkeypatch, "route", "add", "new", "") == [f"node/{DEMO_MODEL}"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    assert candidates(monkeypatch, "provider", "remove", "") == ["openai"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("chat", "alpha/lla"), ["alpha/llama3.2:3b"]),
        (("chat", "lla"), ["llama3.2:3b"]),
        (("chat", "--compare", "alpha/routed", "ch"), ["chat"]),
        (("models", "--provider", ""), ["alpha"]),
        (("models", "--route", ""), ["chat"]),
        (("model", "remove", ""), ["own-8b", "named"]),
        (("provider", "test", ""), ["alpha"]),
        (("provider", "remove", ""), ["alpha"]),
        (("provider", "add", "openr"), ["openrouter"]),
        (("provider", "add", "mine", "--preset", "openr"), ["openrouter"]),
        (("provider", "key", "add", ""), ["alpha"]),
        (("provider", "key", "remove", "alpha", ""), ["env:ALPHA_KEY"]),
        (("route", "remove", ""), ["chat"]),
        (("route", "disable", ""), ["chat"]),
        (("route", "disable", "chat", ""), ["alpha/routed"]),
        (("route", "reweight", "chat", "alpha/"), ["alpha/routed"]),
        (("completion", "z"), ["zsh"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_that_takes_a_name_completes_it(
    words: tuple[str, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch, declared: Paths
) -> None:
    """Models, routes, providers and keys, wherever one is asked for."""
    assert candidates(monkeypatch, *words) == expected


def test_names_that_a_shell_could_take_for_more_are_left_out(
    monkeypatch: pytest.MonkeyPatch, declared: Paths
) -> None:
    """A provider chooses what its models are called, and some shells evaluate what is completed."""
    strange = ["$(touch x)", "a b", "a`b`", "a'b", 'a"b', "a\\b", "a;b", "a\x1b[31m", "a\nb", "é", "a" * 300]
    OfferedModels(declared.offered_file).learn("alpha", [*strange, "fine"])
    found = candidates(monkeypatch, "route", "add", "new", "alpha/")
    assert found == ["alpha/declared", "alpha/fine", "alpha/routed"]


@pytest.mark.parametrize(
    "words", [("nonsense", ""), ("route", "nonsense", ""), ("route", "show", "--nope", "x")]
)
def test_what_cannot_be_completed_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """The person is typing, and has asked for nothing."""
    assert candidates(monkeypatch, *words) == []


def test_completing_imports_nothing_that_is_slow(declared: Paths) -> None:
    """No HTTP, no drawing, no pydantic: a key is pressed, and somebody waits."""
    import subprocess

    program = (
        "import sys\nfrom shareai_cli.cli.app import run\nrun(['route', 'add', 'new'])\n"
        "print([name for name in ('httpx', 'rich', 'pydantic', 'asyncio', 'sqlite3', 'shareai_cli.config',"
        " 'shareai_cli.gateway', 'genai_prices', 'tomlkit') if name in sys.modules], file=sys.stderr)"
    )
    environ = {**os.environ, "_SHAREAI_COMPLETE": "+alpha/l"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, env=environ
    )
    assert (done.stdout, done.stderr) == ("alpha/llama3.2:3b\n", "[]\n")


# -- in the shells themselves


class ShellAtTerminal:
    """A shell that has loaded its script; `shareai` completes, and otherwise only notes how it was called."""

    def __init__(self, terminal: Terminal, log: Path) -> None:
        self.terminal = terminal
        self._log = log

    def complete(self, typed: str) -> list[str]:
        """Type the beginning of a command line, press tab and enter; return the words that came of it."""
        self.terminal.type(f"{typed}\t\r")
        self.terminal.until("noted")
        return self._log.read_text().splitlines()


@contextmanager
def shell_at_terminal(shell: str, folder: Path, loads: str | None = None) -> Iterator[ShellAtTerminal]:
    """Start a shell as a person has it, and load the script as the help says, unless it is told otherwise."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    log, program = folder / "log", folder / "shareai"
    called = f"{sys.executable} -c 'from shareai_cli.cli import main; main()'"
    program.write_text(
        "#!/bin/sh\n"
        f'[ -n "$_SHAREAI_COMPLETE" ] && exec {called} "$@"\n'
        f'[ "$1" = completion ] && exec {called} "$@"\n'
        f"printf '%s\\n' \"$@\" > {log}\necho no''ted\n"
    )
    program.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "PS1": "> ", "TERM": "xterm"}
    with terminal_of(STARTS[shell], environ) as terminal:
        terminal.type(f"{loads or LOADS[shell]}; echo load''ed\r")
        terminal.until("loaded")
        yield ShellAtTerminal(terminal, log)


@pytest.mark.parametrize("shell", STARTS)
def test_the_real_shell_completes_at_a_terminal(shell: str, declared: Paths, tmp_path: Path) -> None:
    """A command, an option, an option's value, a route, and a model whose name has a colon in it."""
    with shell_at_terminal(shell, tmp_path) as real:
        assert real.complete("shareai prov") == ["provider"]
        assert real.complete("shareai usage --js") == ["usage", "--json"]
        assert real.complete("shareai usage --by=mo") == ["usage", "--by=model"]
        assert real.complete("shareai route show ch") == ["route", "show", "chat"]
        assert real.complete("shareai route add x alpha/llama") == ["route", "add", "x", "alpha/llama3.2:3b"]
        assert real.complete("shareai route add x alpha/llama3.2:") == [
            "route", "add", "x", "alpha/llama3.2:3b",
        ]  # fmt: skip


@pytest.mark.parametrize("shell", STARTS)
def test_the_real_shell_finds_the_script_where_it_looks(shell: str, declared: Paths, tmp_path: Path) -> None:
    """A package, or a person, puts it there once."""
    if shell == "bash" and not BASH_COMPLETION.exists():
        pytest.skip("bash-completion is not installed")
    place, loads = INSTALLS[shell]
    file = Path(os.environ["HOME"]) / place
    file.parent.mkdir(parents=True)
    shutil.copy(SCRIPTS / FILES[shell], file)
    with shell_at_terminal(shell, tmp_path, loads) as real:
        assert real.complete("shareai route add x alpha/llama") == ["route", "add", "x", "alpha/llama3.2:3b"]


@pytest.mark.parametrize("shell", STARTS)
def test_the_real_shell_completes_files_where_nothing_is_known(
    shell: str, declared: Paths, tmp_path: Path
) -> None:
    """A path is an answer too."""
    (tmp_path / "own-configuration.toml").touch()
    with shell_at_terminal(shell, tmp_path) as real:
        found = real.complete(f"shareai --config {tmp_path}/own-conf")
        assert found == ["--config", f"{tmp_path}/own-configuration.toml"]

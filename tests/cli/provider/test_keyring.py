"""Typed keys go into the keyring where one works, and leave it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret
from tests.cli.provider.knowing import GOOD, OTHER, declared, kept
from tests.support.check_server import CheckServer
from tests.support.commands import shareai_process
from tests.support.keyring_backend import entries

NAME = f"alpha-{Secret(GOOD).fingerprint}"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.support.keyring_backend.WorkingKeyring")
    monkeypatch.setenv("TEST_KEYRING_FILE", str(tmp_path / "keyring.json"))
    return tmp_path / "keyring.json"


def add(server: CheckServer, key: str) -> tuple[int, str, str]:
    return shareai_process(
        "provider", "add", "alpha", "--base-url", server.base_url, "--stdin", stdin=f"{key}\n"
    )


def test_a_keyring_that_works_keeps_the_key(server: CheckServer, paths: Paths, file: Path) -> None:
    """Under this program's name; it is found there again, and deleted with its provider."""
    code, out, err = add(server, GOOD)
    assert code == 0, err
    assert f"The key is kept in the system's keyring, as shareai/{NAME}." in out
    assert entries(file) == {f"shareai/{NAME}": GOOD}
    assert kept(paths) == []
    assert declared(paths)["alpha"]["keys"] == [f"keyring:shareai/{NAME}"]
    assert GOOD not in out + err
    assert shareai_process("provider", "test", "--json").json["results"][0]["verdict"] == "valid"
    assert shareai_process("provider", "remove", "alpha", "--yes").code == 0
    assert entries(file) == {}


def test_a_key_leaves_the_keyring_when_another_takes_its_place(
    server: CheckServer, paths: Paths, file: Path
) -> None:
    """And stays there as long as the other is not accepted."""
    assert add(server, GOOD)[0] == 0
    assert shareai_process("provider", "key", "rotate", "alpha", "--stdin", stdin="wrong").code == 4
    assert list(entries(file).values()) == [GOOD]
    assert shareai_process("provider", "key", "rotate", "alpha", "--stdin", stdin=OTHER).code == 0
    assert list(entries(file).values()) == [OTHER]
    assert declared(paths)["alpha"]["keys"] == [f"keyring:{name}" for name in entries(file)]


@pytest.mark.parametrize(
    "backend",
    ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring", "no.such.Backend",
     "tests.support.keyring_backend.LockedKeyring", "tests.support.keyring_backend.ForgetfulKeyring"],
)  # fmt: skip
def test_where_no_keyring_works_the_key_goes_into_a_file(
    server: CheckServer, paths: Paths, file: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """A machine without one (NoKeyringError), a locked one, and one that only pretends."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    code, out, err = add(server, GOOD)
    assert code == 0, err
    assert kept(paths) == [GOOD]
    assert entries(file) == {}
    assert declared(paths)["alpha"]["keys"][0].startswith("file:")
    assert GOOD not in out + err

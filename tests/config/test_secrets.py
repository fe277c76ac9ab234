"""Secrets cannot be printed, and references say where they are kept."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import sys
import traceback
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import (
    Secret,
    SecretReference,
    check_key_text,
    conceal,
    digest,
    looks_like_key,
    new_client_key,
    parse_reference,
    resolve,
    write_private,
)
from tests.support.configuration import PLANTED


def test_no_ordinary_way_of_writing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """repr, str, format, f-strings, containers and logs show a mask."""
    secret = Secret(PLANTED)
    logging.getLogger("x").warning("%s %r %s", secret, [secret], {"key": secret})
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret:s}"]
    assert not any(PLANTED in text for text in (*texts, caplog.text, str(dir(secret))))


@pytest.mark.parametrize("encode", [pickle.dumps, json.dumps, msgspec.json.encode, copy.deepcopy, vars])
def test_no_encoder_takes_a_secret(encode: object) -> None:
    """Nothing can write a secret down by accident."""
    with pytest.raises(TypeError) as caught:
        encode(Secret(PLANTED))  # type: ignore[operator]  # any of several functions
    assert PLANTED not in str(caught.value)


def test_a_traceback_with_locals_shows_no_secret() -> None:
    """Crash reports carry representations of locals."""
    secret = Secret(PLANTED)
    try:
        raise KeyError(secret)
    except KeyError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret = ********" in text
    assert f"{PLANTED!r}" not in text.replace("PLANTED", "")


def test_secrets_compare_by_value_and_are_told_apart_by_fingerprint() -> None:
    """The fingerprint is eight hex digits of the hash."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("a").fingerprint == "ca978112"
    with pytest.raises(TypeError):
        hash(Secret("a"))


def test_client_keys_are_long_random_and_stored_as_hashes() -> None:
    """43 characters of randomness; the digest is SHA-256 of the bytes presented."""
    first, second = new_client_key().reveal(), new_client_key().reveal()
    assert first.startswith("sk-shareai-")
    assert len(first) == len("sk-shareai-") + 43
    assert first != second
    assert len(digest(first.encode())) == 32
    assert looks_like_key(first)


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("env:OPENAI_API_KEY", "env", "OPENAI_API_KEY"),
        ("file:~/alpha.key", "file", "~/alpha.key"),
        ("file:/run/secrets/key:1", "file", "/run/secrets/key:1"),
        ("keyring:alpha/2", "keyring", "alpha/2"),
    ],
)
def test_references_are_read(text: str, kind: str, location: str) -> None:
    """Three kinds of places; written back as they were."""
    reference = parse_reference(text)
    assert (reference.kind, reference.location, reference.name) == (kind, location, text)


@pytest.mark.parametrize(
    "text",
    [PLANTED, f"env:{PLANTED}", f"file:{PLANTED}", f"keyring:{PLANTED}", f"keyring:alpha/{PLANTED}", "",
     "env:", "env:1A", "env:A B", "file:", "file:\x00", "keyring:alpha", "keyring:/x", "vault:x",
     "env:AIzaSyD4mUj7xR4vT1wKp8sLd3bNcQ2m", "0123456789abcdef0123456789abcdef", "Env:X"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_without_being_repeated(text: str) -> None:
    """A raw key in the configuration is refused, and not shown again."""
    with pytest.raises(ConfigurationError) as caught:
        parse_reference(text)
    assert PLANTED not in str(caught.value)
    assert len(text) < 6 or text not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_a_configuration_error(text: str) -> None:
    """Nothing else comes out of reading a reference."""
    try:
        assert parse_reference(text).name == text
    except ConfigurationError as error:
        assert len(text) < 12 or text not in str(error)


def test_model_and_file_names_do_not_look_like_keys() -> None:
    """Messages go on naming what people name."""
    names = ("gpt-5-mini", "claude-sonnet-4-5-20250929", "qwen3-30b-a3b-instruct-2507", "meta/llama-3.1-405b",
             "OPENAI_API_KEY", "/home/somebody/models/qwen3-8b-q4_k_m.gguf", "~/alpha.key")  # fmt: skip
    assert [name for name in names if looks_like_key(name)] == []


def test_foreign_messages_lose_their_keys() -> None:
    """Only the words that may be keys are masked."""
    assert conceal(f"unexpected argument ({PLANTED}) for add") == "unexpected argument (********) for add"


def test_a_variable_is_resolved_and_surrounding_space_is_dropped() -> None:
    """A line break at the end is customary."""
    assert resolve(parse_reference("env:KEY"), {"KEY": f" {PLANTED}\n"}) == Secret(PLANTED)


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_missing_variable_is_named(value: str | None) -> None:
    """So is one that is empty."""
    environ = {} if value is None else {"KEY": value}
    with pytest.raises(ConfigurationError, match="variable KEY is not set"):
        resolve(parse_reference("env:KEY"), environ)


@pytest.mark.parametrize("value", ["two words", "a\nHost: evil", "schlüssel", "x" * 5000, "a\x00b", "a\r\nb"])
def test_what_no_header_can_carry_is_refused(value: str) -> None:
    """A key cannot smuggle a header in, and is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(parse_reference("env:KEY"), {"KEY": value})
    assert value not in str(caught.value)
    assert check_key_text(value) is None


def private(path: Path, text: str = PLANTED, mode: int = 0o600) -> SecretReference:
    path.write_text(text)
    path.chmod(mode)
    return SecretReference("file", str(path))


def test_a_file_of_the_owners_is_resolved(tmp_path: Path) -> None:
    """Its whole text, without the line break, is the key."""
    assert resolve(private(tmp_path / "key", f"{PLANTED}\n"), {}) == Secret(PLANTED)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    """The message says how to close it."""
    with pytest.raises(ConfigurationError, match=r"open to others.*chmod 600"):
        resolve(private(tmp_path / "key", mode=mode), {})


def test_what_is_no_private_file_is_refused_at_once(tmp_path: Path) -> None:
    """A folder, a named pipe without a writer, a missing file and an impossible name."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder", "missing", "a\x00b", "n" * 300):
        with pytest.raises(ConfigurationError):
            resolve(SecretReference("file", str(tmp_path / name)), {})


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    """What is larger than any key is refused."""
    with pytest.raises(ConfigurationError, match="does not hold a key"):
        resolve(private(tmp_path / "key", "x" * 100_000), {})


class FakeKeyring(ModuleType):
    """Stands for the package, which is not required."""

    def __init__(self, entries: dict[tuple[str, str], str] | None) -> None:
        super().__init__("keyring")
        self.entries = entries

    def get_password(self, service: str, name: str) -> str | None:
        if self.entries is None:
            raise RuntimeError(f"no backend; {PLANTED}")
        return self.entries.get((service, name))


def test_the_keyring_is_asked_by_service_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing entry says how to set it."""
    monkeypatch.setitem(sys.modules, "keyring", FakeKeyring({("a/b", "c"): PLANTED}))
    assert resolve(parse_reference("keyring:a/b/c"), {}) == Secret(PLANTED)
    with pytest.raises(ConfigurationError, match="keyring set a d"):
        resolve(parse_reference("keyring:a/d"), {})


def test_a_keyring_that_fails_or_is_not_there_says_what_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a backend says is not repeated."""
    monkeypatch.setitem(sys.modules, "keyring", FakeKeyring(None))
    with pytest.raises(ConfigurationError, match="env: or file:") as caught:
        resolve(parse_reference("keyring:a/b"), {})
    assert PLANTED not in str(caught.value)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match="pip install keyring"):
        resolve(parse_reference("keyring:a/b"), {})


def test_a_private_file_is_written_in_one_step(tmp_path: Path) -> None:
    """Closed to others from its first byte, replacing what was there, leaving nothing beside it."""
    path = tmp_path / "key"
    path.write_text("former")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="No such file"):
        write_private(tmp_path / "nowhere" / "key", "x")

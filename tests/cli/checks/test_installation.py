"""What is installed is looked at, and the line that adds what is missing is told."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from shareai_cli import __version__
from shareai_cli.cli.checks.installation import (
    check_keyring,
    check_llama,
    check_program,
    check_sqlite,
    compare_gpus,
    has_wal_fault,
)
from shareai_cli.node.facts import Gpu
from tests.cli.checks.subjects import said, subject

H100, M4 = Gpu("NVIDIA H100", 80 << 30, "570.86"), Gpu("Apple M4", 16 << 30)


@pytest.mark.parametrize(
    ("version", "faulty"),
    [((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
     ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True),
     ((3, 51, 3), False), ((3, 52, 0), False)],
)  # fmt: skip
def test_versions_of_sqlite_with_the_fault_are_known(version: tuple[int, int, int], faulty: bool) -> None:
    """Corrected versions of older series are told from those before and after."""
    assert has_wal_fault(version) is faulty


def test_the_fault_is_explained_and_no_problem(tmp_path: Path) -> None:
    """One process writes, so nothing needs to be done."""
    [finding] = check_sqlite(subject(tmp_path), (3, 40, 1))
    assert finding.level == "ok"
    assert "one process alone writes" in finding.text
    [finding] = check_sqlite(subject(tmp_path), (3, 51, 3))
    assert (finding.level, finding.text, finding.mend) == ("ok", "3.51.3", "")


@pytest.mark.parametrize(
    ("here", "supported", "seen", "level", "mends"),
    [
        ([H100], True, ["NVIDIA H100"], "ok", ""),
        ([], False, [], "ok", ""),
        ([], True, [], "ok", ""),
        ([H100], False, [], "warning", "CMAKE_ARGS=-DGGML_CUDA=on "),
        ([M4], False, [], "warning", "CMAKE_ARGS=-DGGML_METAL=on "),
        ([H100], True, [], "warning", "nvidia-smi"),
    ],
)
def test_a_gpu_that_is_not_used_is_told(
    here: list[Gpu], supported: bool, seen: list[str], level: str, mends: str
) -> None:
    """With the line that builds llama.cpp for it, or what to look at."""
    finding = compare_gpus(here, supported, seen)
    assert finding.level == level
    assert finding.mend.startswith(mends)
    assert bool(finding.mend) is (level == "warning")


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_llama_cpp_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Its version is told."""
    findings = {one.name: one for one in check_llama(subject(tmp_path))}
    assert findings["llama.cpp"].level == "ok"
    assert findings["llama.cpp"].text.startswith("llama-cpp-python 0.")
    assert set(findings) == {"compiler", "llama.cpp", "GPU"}


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_a_llama_cpp_that_cannot_be_loaded_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose library is missing; what puts it right is told."""
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    findings = {one.name: one for one in check_llama(subject(tmp_path))}
    assert findings["llama.cpp"].level == "problem"
    assert "--force-reinstall" in findings["llama.cpp"].mend


def test_a_machine_without_a_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no problem as long as nothing has to be built."""
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = check_llama(subject(tmp_path))[0]
    assert (compiler.name, compiler.text) == ("compiler", "none: llama.cpp cannot be built here")
    assert compiler.mend


def test_the_name_may_mean_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is a warning; that it means nothing is not."""
    here, other = tmp_path / "here" / "shareai", tmp_path / "other" / "shareai"
    for one in (here, other):
        one.parent.mkdir()
        one.write_text("#!/bin/sh\n")
        one.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(here)])
    monkeypatch.setenv("PATH", str(other.parent))
    [finding] = check_program(subject(tmp_path))
    assert (finding.level, finding.mend) == ("warning", f"export PATH={here.parent}:$PATH")
    assert str(other) in finding.text
    monkeypatch.setenv("PATH", str(tmp_path))
    [finding] = check_program(subject(tmp_path))
    assert (finding.level, finding.mend) == ("ok", f"export PATH={here.parent}:$PATH")
    monkeypatch.setenv("PATH", str(here.parent))
    [finding] = check_program(subject(tmp_path))
    assert (finding.level, finding.mend) == ("ok", "")
    assert finding.text.startswith(f"{__version__}, on Python 3.")


def test_a_keyring_is_needed_by_those_who_use_it_alone(tmp_path: Path) -> None:
    """Where none works, keys go into files, unless the configuration names it as their place."""
    keyring = pytest.importorskip("keyring")
    backends = pytest.importorskip("keyring.backends.fail"), pytest.importorskip("keyring.backends.null")
    using = subject(tmp_path, '[providers.groq]\nkeys = ["keyring:shareai/groq"]\n')
    former = keyring.get_keyring()
    try:
        for backend in backends:
            keyring.set_keyring(backend.Keyring())
            assert said(check_keyring(subject(tmp_path))) == [("keyring", "ok")]
            assert said(check_keyring(using)) == [("keyring", "problem")]
        keyring.set_keyring(type("Works", (backends[0].Keyring,), {"priority": 5})())
        assert said(check_keyring(using)) == [("keyring", "ok")]
    finally:
        keyring.set_keyring(former)

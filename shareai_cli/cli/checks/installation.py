"""What is installed: this program, SQLite, a keyring, a compiler, llama.cpp and what it computes on."""

from __future__ import annotations

import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from shareai_cli import __version__
from shareai_cli.cli.checks.finding import Finding, Level, Subject
from shareai_cli.node.facts import Gpu, find_facts, run_probe
from shareai_cli.node.models import INSTALL_HINT, has_llama

_LLAMA_SECONDS = 7.0
_COMPILERS = ("c++", "g++", "clang++", "cl")
_WAL_FAULT = ((3, 7, 0), (3, 51, 3))
"""From the first of these on, and before the second."""
_WAL_MENDED = ((3, 44, 6), (3, 50, 7))
"""Later ones of the same series have the correction too (sqlite.org/wal.html#walresetbug)."""


class _Llama(Struct, frozen=True):
    version: str
    gpu_support: bool
    gpus: tuple[str, ...]


class _Broken(Struct, frozen=True):
    """A llama.cpp that cannot be loaded."""

    last_line: str
    """The last thing that it said."""


def check_program(_subject: Subject) -> Sequence[Finding]:
    """Look which `shareai` the name means."""
    called, found = Path(sys.argv[0]), shutil.which("shareai")
    text = f"{__version__}, on Python {platform.python_version()} ({platform.system()} {platform.machine()})"
    if called.stem != "shareai" or _is_same(found, called):
        return [Finding("program", "ok", text)]
    if found is None:
        line = f"export PATH={called.absolute().parent}:$PATH"
        return [Finding("program", "ok", f"{text}; the name alone does not find it", line)]
    return [
        Finding(
            "program",
            "warning",
            f"the name shareai means {found}, which is not this one ({called.absolute()})",
            f"export PATH={called.absolute().parent}:$PATH",
        )
    ]


def check_sqlite(
    _subject: Subject, version: tuple[int, ...] = sqlite3.sqlite_version_info
) -> Sequence[Finding]:
    """Look whether SQLite can do what the accounts need, and for the fault of its write-ahead log."""
    name = ".".join(map(str, version))
    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("SELECT value FROM json_each('[1]')").fetchone()
    except sqlite3.OperationalError:
        return [Finding("SQLite", "problem", f"{name} has no JSON functions", "Use another build of Python.")]
    if not has_wal_fault(version):
        return [Finding("SQLite", "ok", name)]
    text = (
        f"{name}; its write-ahead log can be damaged where two programs write at once. "
        "Here one process alone writes, over one connection, and so it is safe"
    )
    return [Finding("SQLite", "ok", text, "Open the database of the accounts elsewhere for reading only.")]


def has_wal_fault(version: tuple[int, ...]) -> bool:
    """Tell whether an SQLite can damage a database when a write-ahead log is reset."""
    first, last = _WAL_FAULT
    is_mended = any(version[:2] == mended[:2] and version >= mended for mended in _WAL_MENDED)
    return first <= version < last and not is_mended


def check_keyring(subject: Subject) -> Sequence[Finding]:
    """Look whether there is a keyring, and one that works."""
    used = any(key.kind == "keyring" for one in subject.settings.providers.values() for key in one.keys)
    level: Level = "problem" if used else "ok"
    if find_spec("keyring") is None:
        text = "not installed: keys that are given here are kept in files of their owner's alone (0600)"
        return [Finding("keyring", level, text, f"{sys.executable} -m pip install keyring" if used else "")]
    import keyring  # optional, and slow to load

    try:
        backend = keyring.get_keyring()
        works = backend.priority >= 1
    except Exception as error:  # a backend raises what it likes
        return [Finding("keyring", "warning", f"it cannot be used ({type(error).__name__})")]
    if not works:
        return [
            Finding("keyring", level, "installed, and no keyring runs here: keys are kept in files (0600)")
        ]
    return [Finding("keyring", "ok", type(backend).__module__)]


def check_llama(subject: Subject) -> Sequence[Finding]:
    """Look at the compiler, at llama.cpp, and whether it was built for the GPUs that are here."""
    needed = bool(subject.settings.local.models)
    gpus = find_facts().gpus
    if not has_llama():
        level: Level = "problem" if needed else "ok"
        what = (
            "not installed, and there are local models" if needed else "not installed: local models need it"
        )
        return [
            _compiler(level),
            Finding("llama.cpp", level, what, INSTALL_HINT),
            Finding("GPU", "ok", _gpu_names(gpus)),
        ]
    llama = _ask_llama()
    if llama is None:
        text = f"installed, and not loaded within {_LLAMA_SECONDS:g} s"
        return [_compiler("ok"), Finding("llama.cpp", "warning", text, "Look again when less goes on here.")]
    if isinstance(llama, _Broken):
        text = f"installed, and it cannot be loaded{f': {llama.last_line}' if llama.last_line else ''}"
        mend = _reinstall()
        return [_compiler("ok"), Finding("llama.cpp", "problem", text, mend)]
    kind = "with" if llama.gpu_support else "without"
    return [
        _compiler("ok"),
        Finding("llama.cpp", "ok", f"llama-cpp-python {llama.version}, built {kind} support for a GPU"),
        compare_gpus(gpus, llama.gpu_support, llama.gpus),
    ]


def compare_gpus(here: Sequence[Gpu], supported: bool, seen: Sequence[str]) -> Finding:
    """Say whether llama.cpp computes on the GPUs that are here."""
    if seen:
        return Finding("GPU", "ok", f"llama.cpp computes on {', '.join(seen)}")
    if not here:
        return Finding("GPU", "ok", "none is here that is known: models are computed by the CPU")
    names = _gpu_names(here)
    if supported:
        return Finding(
            "GPU",
            "warning",
            f"{names} is here, and llama.cpp sees none",
            "nvidia-smi tells whether the driver works; CUDA_VISIBLE_DEVICES may hide it.",
        )
    apple = all(not gpu.driver for gpu in here)
    return Finding(
        "GPU",
        "warning",
        f"{names} is here, and llama.cpp was built for the CPU alone",
        f"CMAKE_ARGS=-DGGML_{'METAL' if apple else 'CUDA'}=on {_reinstall()}",
    )


def _ask_llama() -> _Llama | _Broken | None:
    """Ask in a process of its own what llama.cpp is; None where that took too long.

    Whatever the library prints comes before the answer.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "shareai_cli.llama.about"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LLAMA_SECONDS,
            check=False,
        )
        return msgspec.json.decode(done.stdout.strip().rpartition(b"\n")[2], type=_Llama)
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        return _Broken(error.strerror or "")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Broken(done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300].rstrip("."))


def _compiler(level: Level) -> Finding:
    """Look for a compiler; `level` is what it means that there is none."""
    found = next((path for name in _COMPILERS if (path := shutil.which(name)) is not None), None)
    if found is not None:
        first = run_probe([found, "--version"]).partition("\n")[0].strip()
        return Finding("compiler", "ok", first or found)
    mend = "xcode-select --install" if sys.platform == "darwin" else "sudo apt install build-essential"
    return Finding("compiler", level, "none: llama.cpp cannot be built here", mend)


def _reinstall() -> str:
    return f"{sys.executable} -m pip install --force-reinstall --no-cache-dir 'llama-cpp-python<0.4'"


def _gpu_names(gpus: Sequence[Gpu]) -> str:
    return ", ".join(gpu.name for gpu in gpus) or "none is here that is known"


def _is_same(found: str | None, called: Path) -> bool:
    try:
        return found is not None and Path(found).samefile(called)
    except OSError:
        return False

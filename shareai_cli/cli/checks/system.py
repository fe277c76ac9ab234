"""What this machine lets the program have: folders, room on the disk, open files."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from shareai_cli.cli.checks.finding import Finding, Level, Subject

_LEAST_BYTES = 100 << 20
_FEW_BYTES = 1 << 30
_FILES_BESIDE = 64
"""Open files beside those of clients and upstreams."""
_MOST_FILES = 1000


def check_permissions(subject: Subject) -> Sequence[Finding]:
    """Look whether the folders can be written, and whether others can read what is nobody's business."""
    findings = [
        found
        for folder in dict.fromkeys((subject.file.parent, subject.paths.state))
        for found in _check_folder(folder)
    ]
    if sys.platform != "win32":
        files = dict.fromkeys(_private_files(subject))
        findings += [found for file in files if (found := _check_file(file, 0o077)) is not None]
        declared = _check_file(subject.file, 0o022)  # it names keys and holds none: others may read it
        findings += [declared] if declared is not None else []
    if findings:
        return findings
    return [
        Finding("permissions", "ok", f"{subject.file.parent} and {subject.paths.state} are this user's alone")
    ]


def check_disk(subject: Subject) -> Sequence[Finding]:
    """Look how much room there is for accounts and journal."""
    folder = _existing(subject.paths.state)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [Finding("disk", "warning", f"{folder}: {error.strerror}")]
    text = f"{_bytes(free)} free for {subject.paths.state}"
    if free < _LEAST_BYTES:
        return [Finding("disk", "problem", text, f"Make room on the disk of {folder}.")]
    if free < _FEW_BYTES:
        return [Finding("disk", "warning", text, f"Make room on the disk of {folder}.")]
    return [Finding("disk", "ok", text)]


def check_open_files(subject: Subject) -> Sequence[Finding]:
    """Look whether as many connections can be open as the configuration lets in."""
    if sys.platform == "win32":
        return []
    import resource

    connections = subject.settings.server.connections
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= 2 * connections + _FILES_BESIDE:
        return [
            Finding("open files", "ok", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} at a time")
        ]
    enough = max(1, (soft - _FILES_BESIDE) // 2)
    level: Level = "ok" if enough >= 256 else "warning"
    text = f"{soft} at a time: enough for some {enough} clients at once, {connections} are let in"
    return [Finding("open files", level, text, f"ulimit -n {2 * connections + _FILES_BESIDE}")]


def _check_folder(folder: Path) -> Iterator[Finding]:
    there = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        mend = "SHAREAI_HOME=~/shareai moves all files to a folder that can be written."
        if sys.platform != "win32" and there == folder and folder.stat().st_uid != os.geteuid():
            mend = (
                f"sudo chown -R $(id -un) {shlex.quote(str(folder))}"  # left behind by a run as somebody else
            )
        yield Finding("permissions", "problem", f"{folder} cannot be written: {reason}", mend)
        return
    if there != folder or sys.platform == "win32":
        return
    facts = folder.stat()
    if facts.st_mode & 0o022:
        text = f"others can write into {folder} (mode {stat.S_IMODE(facts.st_mode):04o})"
        yield Finding("permissions", "problem", text, f"chmod 700 {shlex.quote(str(folder))}")
    elif facts.st_mode & 0o044:
        text = f"others can list {folder} (mode {stat.S_IMODE(facts.st_mode):04o})"
        yield Finding("permissions", "warning", text, f"chmod 700 {shlex.quote(str(folder))}")


def _private_files(subject: Subject) -> Iterator[Path]:
    paths = subject.paths
    yield from (paths.endpoint_file, paths.first_key_file, paths.database)
    for provider in subject.settings.providers.values():
        yield from (Path(key.location) for key in provider.keys if key.kind == "file")
    try:
        with os.scandir(paths.secrets) as entries:
            yield from [Path(entry.path) for entry, _ in zip(entries, range(_MOST_FILES), strict=False)]
    except OSError:
        return


def _check_file(file: Path, forbidden: int) -> Finding | None:
    """Return what is wrong with a file of which others may have none of the `forbidden` permissions."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return None
    if not mode & forbidden:
        return None
    text = f"others can {'change' if mode & 0o022 else 'read'} {file} (mode {mode:04o})"
    return Finding("permissions", "problem", text, f"chmod 600 {shlex.quote(str(file))}")


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))


def _bytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"

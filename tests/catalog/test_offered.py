"""What providers offered is remembered for those who cannot ask them."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from shareai_cli.catalog.offered import MOST, OfferedModels, remembered


def test_each_provider_is_remembered_beside_the_others(tmp_path: Path) -> None:
    """Sorted, the latest answer of each; the file is its owner's alone."""
    file = tmp_path / "state" / "offered.json"
    offered = OfferedModels(file)
    threads = [Thread(target=offered.learn, args=(f"p{number}", ["b", "a"])) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    offered.learn("p0", ["c"])
    assert remembered(file) == {f"p{number}": ["a", "b"] for number in range(1, 8)} | {"p0": ["c"]}
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    """A provider that lists without end fills no disk."""
    file = tmp_path / "offered.json"
    OfferedModels(file).learn("p", (f"m{number}" for number in range(MOST * 3)))
    assert len(remembered(file)["p"]) == MOST


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"p": 5}', b'{"p": [5]}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_no_memory(content: bytes, tmp_path: Path) -> None:
    """It is written anew with the next answer."""
    file = tmp_path / "offered.json"
    file.write_bytes(content)
    assert remembered(file) == {}
    OfferedModels(file).learn("p", ["m"])
    assert remembered(file) == {"p": ["m"]}


def test_a_folder_that_refuses_does_no_harm(tmp_path: Path) -> None:
    """The answer that was to be remembered serves all the same."""
    (tmp_path / "state").write_text("in the way")
    OfferedModels(tmp_path / "state" / "offered.json").learn("p", ["m"])
    assert remembered(tmp_path / "state" / "offered.json") == {}

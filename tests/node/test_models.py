from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.fleet import demo_model
from shareai_cli.node.models import inspect

DEMO = Path(demo_model().path)


def test_a_header_tells_architecture_and_context() -> None:
    """Nothing is loaded: the id is the file's name, the rest stands in the header."""
    found = inspect(DEMO)
    assert (found.id, found.architecture, found.context) == ("shareai-demo", "llama", 32768)
    assert found.size == DEMO.stat().st_size


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a GGUF"),
        (b"PK\x03\x04" * 10, "not a GGUF"),
        (b"GGUF", "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 9, 1, 1), "version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1), "cut off"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 2**63), "cut off"),
    ],
)
def test_a_file_that_is_no_model_is_named_with_its_fault(data: bytes, words: str, tmp_path: Path) -> None:
    """Said before anything is started."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=words) as caught:
        inspect(path)
    assert "bad.gguf" in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(ConfigurationError, match="no file"):
        inspect(tmp_path / "none.gguf")
    with pytest.raises(ConfigurationError, match="folder"):
        inspect(tmp_path)


@given(st.integers(4, 2000), st.integers(0, 255))
def test_a_damaged_header_never_ends_otherwise(place: int, value: int) -> None:
    """Whatever byte is wrong, the answer is the facts or a `ConfigurationError`, at once."""
    data = bytearray(DEMO.read_bytes()[:4096])
    data[place] = value
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(data)
        file.flush()
        try:
            inspect(Path(file.name))
        except ConfigurationError as error:
            assert file.name in str(error)

"""What is free for models is what the system, a container's bound and the GPUs leave."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from shareai_cli.node.memory import Memory, own_memory

NONE = Path("/no/such/folder")


def bounded(folder: Path, limit: str, current: int, files: int) -> Path:
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(str(current))
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files // 2}\nactive_file {files // 2}\n")
    return folder


def test_the_systems_free_memory_counts() -> None:
    """Where nothing bounds it, and there are no GPUs."""
    free = Memory(lambda command: "", cgroup=NONE).free()
    assert 0 < free.ram <= psutil.virtual_memory().total
    assert free.vram == 0


def test_a_containers_bound_counts_where_it_is_tighter(tmp_path: Path) -> None:
    """What it holds of files is free; a bound that cannot be read is none."""
    folder = bounded(tmp_path, "1000000\n", 600_000, 200_000)
    assert Memory(lambda command: "", cgroup=folder).free().ram == 600_000
    for limit, current in (("max", 0), ("no number", 0)):
        free = Memory(lambda command: "", cgroup=bounded(tmp_path, limit, current, 0)).free()
        assert free.ram > 1_000_000
    (tmp_path / "memory.stat").unlink()
    (tmp_path / "memory.max").write_text("1000")
    assert Memory(lambda command: "", cgroup=tmp_path).free().ram > 1_000_000


@pytest.mark.parametrize(("uses", "vram"), [(True, 81_000 << 20), (False, 0)])
def test_gpus_count_where_llama_cpp_computes_on_them(uses: bool, vram: int) -> None:
    """It is asked once, and only where there are some; all of them count together."""
    asked: list[bool] = []

    def probe(command: Sequence[str]) -> str:
        assert command[0] == "nvidia-smi"
        return "80000\n1000\n[N/A]\n"

    def ask() -> bool:
        asked.append(True)
        return uses

    memory = Memory(probe, cgroup=NONE, llama_uses_gpus=ask)
    assert [memory.free().vram for _ in range(3)] == [vram] * 3
    assert len(asked) == 1
    assert Memory(lambda command: "", cgroup=NONE, llama_uses_gpus=ask).free().vram == 0
    assert len(asked) == 1


def test_a_processs_own_memory_is_without_its_files() -> None:
    """One that is gone has none."""
    assert 0 < own_memory(os.getpid()) < psutil.Process().memory_info().rss
    assert own_memory(None) == 0
    assert own_memory(2**22 + 1) == 0

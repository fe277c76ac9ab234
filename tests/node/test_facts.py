from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from shareai_cli.node.facts import PROBE_SECONDS, Gpu, find_facts, run_probe


def test_this_machine_has_a_processor_cores_and_memory() -> None:
    """The facts are found without any tool of the system's."""
    facts = find_facts(lambda command: "")
    assert facts.processor
    assert 1 <= facts.cores <= facts.threads
    assert facts.memory > 1 << 28
    assert facts.system
    assert facts.llama in (True, False)


def test_gpus_are_read_from_nvidia_smi() -> None:
    """One GPU a line; a memory that is not a number counts as unknown."""

    def probe(command: Sequence[str]) -> str:
        if command[0] != "nvidia-smi":
            return ""
        return "NVIDIA H100 80GB HBM3, 81559, 570.86\nNVIDIA GB10, [N/A], 580.95\nnonsense\n"

    assert find_facts(probe).gpus == (
        Gpu("NVIDIA H100 80GB HBM3", 81559 << 20, "570.86"),
        Gpu("NVIDIA GB10", 0, "580.95"),
    )


def test_a_tool_that_is_missing_or_fails_says_nothing() -> None:
    """A machine without the tool is a machine without the fact."""
    assert run_probe(["no-such-command-at-all"]) == ""
    assert run_probe([sys.executable, "-c", "print('x'); raise SystemExit(3)"]) == ""
    started = time.monotonic()
    assert run_probe([sys.executable, "-c", "print('fine')"]).strip() == "fine"
    assert time.monotonic() - started < 4 * PROBE_SECONDS

from __future__ import annotations

from pathlib import Path

import gguf

from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.demo.build import ANSWER, DEMO_FILE, LONG_STREAM, TOOL_CALL, write_demo, write_random
from shareai_cli.llama.engine import Engine
from tests.support.replies import reply


def contents(path: Path) -> tuple[dict[str, object], dict[str, bytes]]:
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    return fields, {tensor.name: tensor.data.tobytes() for tensor in reader.tensors}


def run(engine: Engine, chain: str, sampling: Sampling) -> str:
    return reply(engine, f"<s><|user|>hi<|end|><|{chain}|>", sampling, limit=1000)


def test_the_file_in_the_package_is_what_the_script_makes(tmp_path: Path) -> None:
    """Nobody has to trust a binary: the script makes the same fields and weights again."""
    write_demo(tmp_path / "again.gguf")
    assert contents(tmp_path / "again.gguf") == contents(DEMO_FILE)
    assert DEMO_FILE.stat().st_size <= 700_000


def test_the_random_model_is_the_same_each_time(tmp_path: Path) -> None:
    """Tests that compare its replies hold on every machine."""
    write_random(tmp_path / "one.gguf")
    write_random(tmp_path / "two.gguf")
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()
    assert (tmp_path / "one.gguf").stat().st_size < 300_000


def test_every_chain_survives_the_wildest_sampling(demo: Engine) -> None:
    """Temperature 2 with no cut-off at all still gives the answer, the tool call and the long stream."""
    for seed in range(3):
        wild = Sampling(temperature=2.0, top_p=1.0, top_k=0, min_p=0.0, seed=seed)
        assert run(demo, "answer", wild) == ANSWER
        assert run(demo, "call", wild) == TOOL_CALL
        assert run(demo, "count", wild) == LONG_STREAM
    penalised = Sampling(frequency_penalty=2.0, presence_penalty=-2.0, repeat_penalty=1.2, typical_p=0.5)
    assert run(demo, "answer", penalised) == ANSWER

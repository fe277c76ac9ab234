"""What would end the process in llama.cpp's hands, given to this package's: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PREPARED = """
import sys
from msgspec import structs
from shareai_cli.errors import EngineFailed
from shareai_cli.llama.batching.cache import Copy, Remove
from shareai_cli.llama.batching.context import Context, Piece
from shareai_cli.llama.batching.grammar import Grammar
from shareai_cli.llama.batching.sampling import Sampler, Sampling
from shareai_cli.llama.bindings import Library, Model

library = Library()
model = Model(library, sys.argv[1])
context = Context(library, model, cells=256, sequences=4, threads=1, batch=64)

def refused(call, *arguments):
    try:
        call(*arguments)
    except EngineFailed:
        return
    raise SystemExit("not refused")

def draw(sampling, prompt=(5, 6)):
    sampler = Sampler(sampling, prompt=prompt)
    for _ in range(3):
        assert context.decode([Piece(3, context.length(3), [70], wants_logits=True)])
        assert 0 <= sampler.draw(context, 3).token < model.vocabulary_size
    sampler.close()
"""

WORKS = """
assert context.decode([Piece(3, context.length(3), [70], wants_logits=True)])
assert context.logits(3).size == model.vocabulary_size
print("survived")
"""

FATAL = {
    "a batch larger than llama.cpp's": "refused(context.decode, [Piece(0, 0, [70] * 65, wants_logits=True)])",
    "no tokens": "refused(context.decode, [Piece(0, 0, [], wants_logits=True)])",
    "a sequence that there is not": "refused(context.decode, [Piece(4, 0, [70], wants_logits=True)])",
    "tokens that there are not": (
        "for token in (-1, model.vocabulary_size, 2**31 - 1):\n"
        "    refused(context.decode, [Piece(0, 0, [token], wants_logits=True)])"
    ),
    "a position that does not follow": "refused(context.decode, [Piece(0, 7, [70], wants_logits=True),"
    " Piece(0, 3, [70], wants_logits=True)])",
    "a draw before anything was computed": "refused(Sampler(Sampling(), prompt=()).draw, context, 0)",
    "a draw where no logits were wanted": (
        "silent, loud = Piece(0, 0, [70], wants_logits=False), Piece(1, 0, [70], wants_logits=True)\n"
        "assert context.decode([silent, loud])\n"
        "refused(Sampler(Sampling(), prompt=()).draw, context, 0)"
    ),
    "a draw after a step that failed": (
        "assert context.decode([Piece(0, 0, [70], wants_logits=True)])\n"
        "refused(context.decode, [Piece(1, 0, [-1], wants_logits=True)])\n"
        "refused(Sampler(Sampling(), prompt=()).draw, context, 0)"
    ),
    "a copy of a part of a sequence": (
        "assert context.decode([Piece(0, 0, list(range(70, 90)), wants_logits=True)])\n"
        "context.apply([Copy(0, 1, 7)])\n"
        "assert (context.length(0), context.length(1)) == (20, 7)\n"
        "context.apply([Remove(0)])\n"
        "assert context.decode([Piece(1, 7, [70], wants_logits=True)])"
    ),
    "a full cache": (
        "for number in range(4):\n"
        "    assert context.decode([Piece(number % 2, number // 2 * 64, [70] * 64, wants_logits=False)])\n"
        "assert not context.decode([Piece(2, 0, [70], wants_logits=True)])\n"
        "assert [context.length(number) for number in range(4)] == [128, 128, 0, 0]\n"
        "context.apply([Remove(0)])"
    ),
    "temperatures that leave no numbers": (
        "for temperature in (1e-38, 1e-45, 0.0011, 2.0):\n    draw(Sampling(temperature=temperature))"
    ),
    "cut-offs that leave nothing": (
        "draw(Sampling(top_k=1, top_p=0.0, min_p=1.0, typical_p=0.0))\ndraw(Sampling(top_k=1_000_000))"
    ),
    "bans of the whole vocabulary": (
        "bans = tuple((token, -100.0) for token in range(model.vocabulary_size))\n"
        "for top_k in (0, 40):\n"
        "    draw(Sampling(top_k=top_k, temperature=0.0011, logit_bias=bans, alternatives=5))"
    ),
    "penalties at their bounds": (
        "for repeat, other in ((100.0, 2.0), (0.01, -2.0)):\n"
        "    penalties = Sampling(repeat_penalty=repeat, frequency_penalty=other, presence_penalty=other)\n"
        "    draw(structs.replace(penalties, temperature=0.0011))"
    ),
    "what is no grammar": (
        "for text in ('', ' ', 'root ::= nothing', 'root ::= root', 'x ::= \"a\"', '(((', 'root ::= [a'):\n"
        "    refused(Grammar, model, text)"
    ),
    "tokens that a grammar does not admit": (
        "def kept(sampling):\n"
        "    sampler = Sampler(sampling, prompt=(), grammar=Grammar(model, 'root ::= \"ab\"'))\n"
        "    drawn = []\n"
        "    for _ in range(3):\n"
        "        assert context.decode([Piece(3, context.length(3), [70], wants_logits=True)])\n"
        "        drawn.append(sampler.draw(context, 3).token)\n"
        "    sampler.close()\n"
        "    assert model.text(drawn) == 'ab' and model.ends(drawn[2])\n"
        "kept(Sampling(temperature=0.0))\nkept(Sampling())\n"
        "kept(Sampling(logit_bias=tuple((token, -100.0) for token in range(model.vocabulary_size))))"
    ),
    "a file that is cut off": (
        "from pathlib import Path\n"
        "from shareai_cli.errors import ModelUnavailable\n"
        "whole = Path(sys.argv[1]).read_bytes()\n"
        "cut = Path(sys.argv[2]) / 'cut.gguf'\n"
        "for size in (0, 3, 24, 1000, len(whole) // 2, len(whole) - 1):\n"
        "    cut.write_bytes(whole[:size])\n"
        "    try:\n        Model(library, str(cut))\n"
        "    except ModelUnavailable:\n        continue\n"
        "    raise SystemExit(f'loaded {size} bytes')"
    ),
    "schemas, names and biases of clients": (
        "import json\n"
        "from shareai_cli.errors import MalformedRequest\n"
        "from shareai_cli.llama.bodies.chat import decode_chat\n"
        "from shareai_cli.llama.engine import Engine\n"
        "from shareai_cli.llama.batching.sequence import Sequence\n"
        "from shareai_cli.llama.prompts import PromptReader\n"
        "from tests.support.replies import Taken, finish\n"
        "engine = Engine(sys.argv[1], context=2048)\n"
        "prompts = PromptReader(engine.model, context_size=2048, slots=4, longest=256)\n"
        "deep = {'type': 'string'}\n"
        "for _ in range(60):\n    deep = {'items': deep}\n"
        "schemas = [{'anyOf': [{'$ref': '#'}, {'type': 'null'}]}, {'$ref': '#/$defs/a', '$defs': {'a':\n"
        "    {'anyOf': [{'$ref': '#/$defs/b'}]}, 'b': {'anyOf': [{'$ref': '#/$defs/a'}]}}},\n"
        "    {'enum': ['\\0', '\\n', '\\U0010ffff', '', '\"', '\\\\', '\u2028', '::=']}, deep,\n"
        "    {'properties': {'\\0': {}, '': {}, '\"': {}}, 'required': ['\\0']},\n"
        "    {'type': 'array', 'minItems': 2000, 'items': {'type': 'null'}}, {'anyOf': [{}] * 100},\n"
        "    {'items': {'maxItems': 40, 'items': {'maxItems': 40}}, 'maxItems': 40}]\n"
        "seen = set()\n"
        "for schema in schemas:\n"
        "  for choice in ('auto', 'required'):\n"
        "    function = {'name': 'a', 'parameters': schema}\n"
        "    form = {'type': 'json_schema', 'json_schema': {'name': 'it', 'schema': schema}}\n"
        "    body = {'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}], 'max_tokens': 12,\n"
        "        'tools': [{'type': 'function', 'function': function}], 'tool_choice': choice,\n"
        "        'response_format': form, 'logit_bias': {'70': 100, '264': -100}, 'temperature': 2,\n"
        "        'seed': 1, 'top_k': 0}\n"
        "    try:\n        prompt = prompts.chat(decode_chat(json.dumps(body).encode()))\n"
        "    except MalformedRequest:\n        seen.add('refused'); continue\n"
        "    taken = Taken()\n"
        "    engine.add(Sequence(prompt.request, taken))\n"
        "    finish(engine)\n"
        "    assert taken.finish, taken.error\n"
        "    seen.add('generated')\n"
        "assert seen == {'refused', 'generated'}"
    ),
    "a callback that nobody seems to hold": (
        "import gc\ngc.collect()\n"
        "from shareai_cli.errors import ModelUnavailable\n"
        "try:\n    Model(library, '/nowhere/model.gguf')\n"
        "except ModelUnavailable as error:\n    assert '/nowhere/model.gguf' in str(error)\n"
        "else:\n    raise SystemExit('loaded')"
    ),
}


@pytest.mark.parametrize("what", FATAL)
def test_nothing_ends_the_process(what: str, random_file: Path, tmp_path: Path) -> None:
    """It is refused in words or done, and the next computation works."""
    program = f"{PREPARED}\n{FATAL[what]}\n{WORKS}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(random_file), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"GGML_NO_BACKTRACE": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr[-2000:]

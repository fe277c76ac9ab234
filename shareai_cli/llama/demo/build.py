"""Make the demo model, and the random model of the tests: `python -m shareai_cli.llama.demo.build`.

Nothing is trained. With attention and feed-forward outputs at zero, the last token's embedding alone
decides the next token; `output[next(t)] += GAIN * E[t]` then turns the model into chains of tokens. The
chat template picks the token that starts a chain. Weights are signs out of SHAKE-256, so that every
machine makes the same file.

Needs the `gguf` package, which the extra `test` brings.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

DEMO_FILE = Path(__file__).with_name("shareai-demo.gguf")

CONTEXT = 32768
"""Tokens of context: the prompt's text is read byte by byte, so this is some 32 KB of messages."""

WIDTH = 64
HEAD = 16
"""Sizes of the embedding and of the one attention head, which is there for its KV cache only."""

GAIN = 256.0
"""Sets the chain's logit so far above all others that no temperature up to 2 leaves the chain."""

ANSWER = """\
Hello! This is ShareAI's demo model, and your gateway works. Real llama.cpp made these tokens on this \
machine, but the words never change: whatever you ask, you get this answer.

To serve a model of your own, run

    shareai model add ~/models/MODEL.gguf

and to add a cloud provider:

    shareai provider add openai

Both take effect while the gateway is running, and this demo then makes room for them."""

TOOL_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Paris"}}\n</tool_call>'

LONG_STREAM = " ".join(str(number) for number in range(1, 401))

TEMPLATE = """\
{{- bos_token }}
{%- set chosen = namespace(chain='answer') %}
{%- for message in messages %}
{{- '<|' ~ message.role ~ '|>' ~ (message.content or '') ~ '<|end|>' }}
{%- endfor %}
{%- set last = messages[-1] %}
{%- if last.role == 'user' %}
{%- for tool in tools or [] if tool.function.name == 'get_weather' %}
{%- set chosen.chain = 'call' %}
{%- endfor %}
{%- if 'long stream' in last.content %}
{%- set chosen.chain = 'count' %}
{%- elif 'endless stream' in last.content %}
{%- set chosen.chain = 'endless' %}
{%- endif %}
{%- endif %}
{%- if add_generation_prompt %}{{- '<|' ~ chosen.chain ~ '|>' }}{% endif %}
"""

CONTROLS = (
    "<unk>",
    "<s>",
    "</s>",
    "<|end|>",
    "<|system|>",
    "<|developer|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
)
"""The first ids: unknown, begin, end, and what the template writes around messages."""

END = CONTROLS.index("</s>")
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))


def chain_of(text: str, used: set[str]) -> list[str]:
    """Cut a text into tokens that exist once: a word seen before is joined to the next one."""
    tokens: list[str] = []
    pending = ""
    for word in re.findall(r"\s*\S+", text):
        pending += word
        if pending not in used:
            used.add(pending)
            tokens.append(pending)
            pending = ""
    if pending:
        used.discard(tokens[-1])
        tokens[-1] += pending
        used.add(tokens[-1])
    return tokens


def signs(seed: str, rows: int, columns: int) -> NDArray[np.float32]:
    """Return a matrix of plus and minus one, the same for a seed everywhere and forever."""
    drawn = hashlib.shake_256(seed.encode()).digest((rows * columns + 7) // 8)
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))[: rows * columns]
    return (bits.astype(np.float32) * 2 - 1).reshape(rows, columns)


def uniform(seed: str, rows: int, columns: int, scale: float) -> NDArray[np.float32]:
    """Return a matrix of numbers evenly spread over plus and minus `scale`, from a seed."""
    drawn = np.frombuffer(hashlib.shake_256(seed.encode()).digest(rows * columns), dtype=np.uint8)
    return ((drawn.astype(np.float32) - 127.5) * np.float32(scale / 127.5)).reshape(rows, columns)


def write_demo(path: Path) -> None:
    """Write the demo model."""
    used: set[str] = set()
    chains = {
        "answer": chain_of(ANSWER, used),
        "call": chain_of(TOOL_CALL, used),
        "count": chain_of(LONG_STREAM, used),
        "endless": ["tick", " tock"],
    }
    write_chains(path, chains, TEMPLATE, endless=("endless",))


def write_chains(
    path: Path,
    chains: Mapping[str, Sequence[str]],
    template: str,
    *,
    controls: Iterable[str] = (),
    endless: Iterable[str] = (),
) -> None:
    """Write a model whose replies are chains of tokens, each begun by the token `<|its name|>`.

    A token is in one place only; `controls` are more control tokens, which may be in chains, too. The chains
    that are `endless` begin again at their end.
    """
    starts = [f"<|{name}|>" for name in chains]
    specials = [*CONTROLS, *starts, *controls]
    words = [word for chain in chains.values() for word in chain if word not in specials]
    vocabulary = [*specials, *BYTES, *words]
    number = {text: index for index, text in enumerate(vocabulary)}
    following: list[tuple[int, int]] = []
    for name, chain in chains.items():
        path_of = [number[f"<|{name}|>"], *(number[word] for word in chain)]
        last = number[chain[0]] if name in endless else END
        following += zip(path_of, [*path_of[1:], last], strict=True)

    embedding = signs("shareai-demo", len(vocabulary), WIDTH)
    output = np.zeros_like(embedding)
    for token, after in following:
        output[after] += embedding[token] * np.float32(GAIN / WIDTH)
    _check_margin(embedding, output, following)

    writer = _writer(
        path, "ShareAI demo", context=CONTEXT, width=WIDTH, layers=1, heads=1, head=HEAD, inner=32
    )
    _add_vocabulary(writer, vocabulary, controls=specials)
    writer.add_description("A fixed answer as a chain of tokens; made by shareai_cli/llama/demo/build.py")
    writer.add_chat_template(template)
    _tensor(writer, "token_embd.weight", embedding)
    _tensor(writer, "output.weight", output)
    _add_layer(writer, 0, "shareai-demo", width=WIDTH, attention=HEAD, inner=32, scale=0.1, silent=True)
    _finish(writer)


def write_random(path: Path, *, seed: str = "shareai-random", layers: int = 2, causal: bool = True) -> None:
    """Write a model of random weights whose output depends on every token before; its words are bytes.

    Where it is not `causal` it depends on those that follow, too, as with models that make embeddings.
    """
    vocabulary = [*CONTROLS, *BYTES]
    writer = _writer(
        path, "ShareAI random", context=2048, width=64, layers=layers, heads=4, head=16, inner=128
    )
    _add_vocabulary(writer, vocabulary, controls=CONTROLS)
    if not causal:
        writer.add_causal_attention(False)
    _tensor(writer, "token_embd.weight", uniform(f"{seed}/embedding", len(vocabulary), 64, 1.0))
    output = uniform(f"{seed}/output", len(vocabulary), 64, 0.5)
    # Printable characters only, so that every reply is text and none ends early.
    output[: len(CONTROLS) + 32] = 0
    output[len(CONTROLS) + 127 :] = 0
    _tensor(writer, "output.weight", output)
    for layer in range(layers):
        _add_layer(writer, layer, seed, width=64, attention=64, inner=128, scale=0.4, silent=False)
    _finish(writer)


def _check_margin(
    embedding: NDArray[np.float32], output: NDArray[np.float32], following: Iterable[tuple[int, int]]
) -> None:
    """Stop the build unless each chain's next token leads all others by a third of the GAIN in the logits."""
    for token, after in following:
        logits = output @ embedding[token]
        others = np.delete(logits, after)
        if float(logits[after] - others.max()) < GAIN / 3:
            raise ValueError(f"token {token}: {after} leads by {logits[after] - others.max()} only")


def _writer(
    path: Path, name: str, *, context: int, width: int, layers: int, heads: int, head: int, inner: int
) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    return writer


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Sequence[str], controls: Iterable[str]) -> None:
    special = set(controls)
    kinds = []
    for text in vocabulary:
        if text == "<unk>":
            kinds.append(gguf.TokenType.UNKNOWN)
        elif text in special:
            kinds.append(gguf.TokenType.CONTROL)
        elif text in BYTES:
            kinds.append(gguf.TokenType.BYTE)
        else:
            kinds.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.replace(" ", "\u2581") for text in vocabulary])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(CONTROLS.index("<s>"))
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(CONTROLS.index("<unk>"))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _add_layer(
    writer: gguf.GGUFWriter,
    layer: int,
    seed: str,
    *,
    width: int,
    attention: int,
    inner: int,
    scale: float,
    silent: bool,
) -> None:
    """Add one transformer layer; a silent one has zeros where it would write to the residual stream."""

    def draw(name: str, rows: int, columns: int, zero: bool = False) -> None:
        values = uniform(f"{seed}/{layer}/{name}", rows, columns, 0.0 if zero else scale)
        _tensor(writer, f"blk.{layer}.{name}.weight", values)

    for norm in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(width, dtype=np.float32))
    draw("attn_q", attention, width)
    draw("attn_k", attention, width)
    draw("attn_v", attention, width)
    draw("attn_output", width, attention, zero=silent)
    draw("ffn_gate", inner, width)
    draw("ffn_up", inner, width)
    draw("ffn_down", width, inner, zero=silent)


def _tensor(writer: gguf.GGUFWriter, name: str, values: NDArray[np.float32]) -> None:
    writer.add_tensor(name, values.astype(np.float16))


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    destination = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO_FILE
    write_demo(destination)
    sys.stdout.write(f"{destination}: {destination.stat().st_size} bytes\n")

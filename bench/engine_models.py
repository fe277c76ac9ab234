"""Models of random weights for the engine's part, as large as real ones: made anew for each run, in seconds.

Their words are letters, and no other token is ever drawn: each reply is as long as it may be, and each token
is one event of a stream. Needs the `gguf` package, which the extra `test` brings.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import numpy as np

_CONTROLS = ("<unk>", "<s>", "</s>")
_BYTES = tuple(f"<0x{value:02X}>" for value in range(256))


@dataclasses.dataclass(frozen=True)
class Shape:
    """How large a model is."""

    layers: int
    width: int
    inner: int
    vocabulary: int
    context: int
    head: int = 64


SMALL = Shape(layers=12, width=768, inner=2048, vocabulary=32_000, context=32_768)
"""Some 140 MB: a small chat model."""

WORDY = Shape(layers=1, width=64, inner=64, vocabulary=152_000, context=8_192)
"""Next to nothing but a vocabulary, as large as that of large models."""


def write_model(path: Path, shape: Shape) -> None:
    """Write a model of the kind `llama`, its weights as Q8_0."""
    chance = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, shape)
    _add_vocabulary(writer, shape.vocabulary)

    def draw(name: str, rows: int, columns: int, silent: int = 0) -> None:
        values = chance.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.05)
        values[:silent] = 0
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def add_norm(name: str) -> None:
        writer.add_tensor(name, np.ones(shape.width, dtype=np.float32))

    draw("token_embd.weight", shape.vocabulary, shape.width)
    # Words lead by some ten in the logits: controls and bytes, at zero, are never drawn.
    draw("output.weight", shape.vocabulary, shape.width, silent=len(_CONTROLS) + len(_BYTES))
    add_norm("output_norm.weight")
    for layer in range(shape.layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            draw(f"blk.{layer}.{name}.weight", shape.width, shape.width)
        for name in ("ffn_gate", "ffn_up"):
            draw(f"blk.{layer}.{name}.weight", shape.inner, shape.width)
        draw(f"blk.{layer}.ffn_down.weight", shape.width, shape.inner)
        add_norm(f"blk.{layer}.attn_norm.weight")
        add_norm(f"blk.{layer}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("bench")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.width // shape.head)
    writer.add_head_count_kv(shape.width // shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    words = [_word(number) for number in range(size - len(_CONTROLS) - len(_BYTES))]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * (len(_CONTROLS) - 1)]
    kinds += [gguf.TokenType.BYTE] * len(_BYTES) + [gguf.TokenType.NORMAL] * len(words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*_CONTROLS, *_BYTES, *words])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(_CONTROLS.index("<s>"))
    writer.add_eos_token_id(_CONTROLS.index("</s>"))
    writer.add_unk_token_id(_CONTROLS.index("<unk>"))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _word(number: int) -> str:
    """Return a word of capitals that no other number has; prompts are of small letters, a byte a token."""
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters += chr(ord("A") + letter)
    return letters

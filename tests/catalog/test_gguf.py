from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.catalog.gguf import check_servable, inspect
from shareai_cli.catalog.gguf_format import begin_of_last_tensor
from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.fleet import demo_model
from tests.support.model_files import LLAMA, Value, model_file

DEMO = Path(demo_model().path)


def test_a_header_tells_architecture_and_context() -> None:
    """Nothing is loaded: the id is the file's name, the rest stands in the header."""
    found = inspect(DEMO)
    assert (found.id, found.architecture, found.context) == ("shareai-demo", "llama", 32768)
    assert found.size == DEMO.stat().st_size


@pytest.mark.parametrize(
    ("template", "abilities"),
    [
        (None, ()),
        ("{{ messages }}", ()),
        ("{% if tools %}{{ tools }}{% endif %}", ("tools",)),
        ("{{ tools }}<think>", ("tools", "reasoning")),
        ("<|channel|>analysis", ("reasoning",)),
        ("x" * 100_000 + "tools", ()),
    ],
)
@pytest.mark.parametrize("vocabulary", [1, 100_000])
def test_a_chat_template_tells_what_a_model_can_do(
    template: str | None, abilities: tuple[str, ...], vocabulary: int, tmp_path: Path
) -> None:
    """It stands behind the vocabulary, however long that is; only its beginning counts."""
    values: dict[str, Value] = {**LLAMA, "tokenizer.ggml.tokens": ["<|word-of-the-vocabulary|>"] * vocabulary}
    if template is not None:
        values["tokenizer.chat_template"] = template
    found = inspect(model_file(tmp_path / "m.gguf", values))
    assert (found.context, found.abilities) == (8192, abilities)


def test_a_chat_template_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """Also across the places up to which the file is read at a time."""
    key = b"tokenizer.chat_template"
    for place in range((1 << 20) - 60, (1 << 20) + 10):
        values: dict[str, Value] = {
            "tokenizer.ggml.tokens": ["x" * place],
            "tokenizer.chat_template": "tools",
        }
        path = model_file(tmp_path / "m.gguf", {**LLAMA, **values})
        data = path.read_bytes()
        surplus = data.index(key) - place
        path.write_bytes(data.replace(b"x" * surplus, b"", 1))
        assert path.read_bytes().index(key) == place
        assert inspect(path).abilities == ("tools",), place


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        (None, ""),
        ("{{ messages }}", "own"),
        ("<|im_start|>{{ tools }}", "chatml"),
        ("<|start_header_id|>", "llama-3"),
        ("<start_of_turn>", "gemma"),
        ("[INST]", "mistral"),
        ("<|start|>assistant<|channel|>", "harmony"),
        ("<\uff5cAssistant\uff5c>", "deepseek"),
    ],
)
def test_a_chat_template_is_of_a_family(mark: str | None, name: str, tmp_path: Path) -> None:
    """By the marks that it writes around messages."""
    values: dict[str, Value] = dict(LLAMA) if mark is None else {**LLAMA, "tokenizer.chat_template": mark}
    assert inspect(model_file(tmp_path / "m.gguf", values)).template == name


@pytest.mark.parametrize("vocabulary", [0, 100_000])
def test_the_quantisation_stands_before_the_vocabulary_or_behind_it(vocabulary: int, tmp_path: Path) -> None:
    """Quantising a file moves it to the end."""
    words: dict[str, Value] = {"tokenizer.ggml.tokens": ["<|word-of-the-vocabulary|>"] * vocabulary}
    kind: dict[str, Value] = {"general.file_type": 15}
    template: dict[str, Value] = {"tokenizer.chat_template": "[INST]"}
    for name, values in (("a", {**kind, **LLAMA, **words}), ("b", {**LLAMA, **words, **template, **kind})):
        found = inspect(model_file(tmp_path / f"{name}-Q8_0.gguf", values))
        assert found.quantization == "Q4_K_M", name


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("Wise-8B-Q4_K_M", "Q4_K_M"),
        ("wise-8b-UD-Q2_K_XL", "UD-Q2_K_XL"),
        ("wise.iq3_xxs", "IQ3_XXS"),
        ("wise-mxfp4", "MXFP4"),
        ("wise-bf16", "BF16"),
        ("Qwen3-8B", ""),
        ("wise-q4", "Q4"),
    ],
)
def test_else_the_name_tells_the_quantisation(name: str, quantization: str, tmp_path: Path) -> None:
    """As those who make such files call them."""
    assert inspect(model_file(tmp_path / f"{name}.gguf")).quantization == quantization


def test_what_a_token_takes_of_the_cache_follows_from_the_heads(tmp_path: Path) -> None:
    """Of all layers, at 16 bits; heads may be shared, have sizes of their own, and differ by layer."""
    sizes: dict[str, Value] = {
        **LLAMA, "llama.block_count": 4, "llama.embedding_length": 512, "llama.attention.head_count": 8,
    }  # fmt: skip

    def bytes_of(**more: Value) -> int:
        values = {**sizes, **{f"llama.attention.{key}": value for key, value in more.items()}}
        return inspect(model_file(tmp_path / "m.gguf", values)).cache_bytes_per_token

    assert bytes_of() == 4 * 8 * (64 + 64) * 2
    assert bytes_of(head_count_kv=2) == 4 * 2 * (64 + 64) * 2
    assert bytes_of(head_count_kv=2, key_length=128, value_length=96) == 4 * 2 * (128 + 96) * 2
    assert bytes_of(head_count_kv=[2, 0, 0, 2]) == 4 * (64 + 64) * 2
    assert bytes_of(head_count=0) == 0
    assert inspect(model_file(tmp_path / "m.gguf")).cache_bytes_per_token == 0


def test_numbers_that_cannot_be_make_no_sums_without_end(tmp_path: Path) -> None:
    """A broken file's header is a model's all the same, and what follows from it can be written down."""
    most = (1 << 32) - 1
    values: dict[str, Value] = {
        **LLAMA,
        "llama.block_count": most,
        "llama.embedding_length": most,
        "llama.attention.head_count": 1,
        "llama.attention.head_count_kv": [most] * 1000,
    }
    assert inspect(model_file(tmp_path / "m.gguf", values)).cache_bytes_per_token == 1 << 40
    values["llama.attention.head_count_kv"] = [1] * 100_000
    assert inspect(model_file(tmp_path / "m.gguf", values)).context == 8192


def test_a_model_of_embeddings_is_known_by_its_pooling(tmp_path: Path) -> None:
    """It answers no chat, whatever its template says."""
    values: dict[str, Value] = {
        "general.architecture": "bert",
        "bert.context_length": 512,
        "bert.pooling_type": 1,
    }
    assert inspect(model_file(tmp_path / "m.gguf", values)).abilities == ("embeddings",)


@pytest.mark.parametrize(
    ("file", "title", "name"),
    [
        ("qwen3-8b-q4.gguf", "Qwen3 8B", "qwen3-8b-q4"),
        ("big-00001-of-00002.gguf", "Big", "big"),
        ("sha256-1f", "Llama 3.2 3B (Instruct)", "llama-3.2-3b-instruct"),
        ("sha256-1f", "///", "sha256-1f"),
        ("sha256-1f", None, "sha256-1f"),
    ],
)
def test_a_model_has_the_name_of_its_file_or_else_of_its_header(
    file: str, title: str | None, name: str, tmp_path: Path
) -> None:
    """Ollama's files have digests for names, those of models in parts end in numbers."""
    for path in (tmp_path / file, tmp_path / "big-00002-of-00002.gguf"):
        model_file(path, LLAMA if title is None else {**LLAMA, "general.name": title})
    assert inspect(tmp_path / file).id == name


def test_a_model_in_parts_is_as_large_as_all_of_them(tmp_path: Path) -> None:
    """One that is missing is named, and so is the first where another one is given."""
    first = model_file(tmp_path / "m-00001-of-00003.gguf", rest=100)
    second = model_file(tmp_path / "m-00002-of-00003.gguf", {}, rest=200)
    with pytest.raises(ConfigurationError, match=r"no file .*m-00003-of-00003\.gguf"):
        inspect(first)
    third = model_file(tmp_path / "m-00003-of-00003.gguf", {}, rest=300)
    assert check_servable(first).size == sum(path.stat().st_size for path in (first, second, third))
    with pytest.raises(ConfigurationError, match=r"not the first part.*Take .*m-00001-of-00003\.gguf"):
        check_servable(second)


@pytest.mark.parametrize(
    ("values", "tensors", "words"),
    [
        ({"general.architecture": "clip"}, 9, "sees pictures"),
        ({}, 9, "holds no model"),
        (LLAMA, 0, "holds no model"),
    ],
)
def test_what_could_not_answer_by_itself_is_refused(
    values: dict[str, str], tensors: int, words: str, tmp_path: Path
) -> None:
    """Half of a model, a vocabulary alone, an empty file in the right format."""
    path = model_file(tmp_path / "m.gguf", values, tensors=tensors)
    with pytest.raises(ConfigurationError, match=words):
        check_servable(path)
    assert check_servable(DEMO).id == "shareai-demo"


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


def test_where_the_last_weights_begin_is_where_another_reader_finds_them() -> None:
    """The format's own package says the same."""
    reader = gguf.GGUFReader(str(DEMO))
    assert begin_of_last_tensor(DEMO.read_bytes()) == max(int(one.data_offset) for one in reader.tensors)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_download_that_was_cut_off_is_refused(share: float, tmp_path: Path) -> None:
    """Wherever it ended, if only its last weights are missing; the whole file is not."""
    path = tmp_path / "m.gguf"
    data = DEMO.read_bytes()
    path.write_bytes(data)
    assert check_servable(path).tensors == 12
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ConfigurationError, match="is cut off"):
        check_servable(path)


def test_every_part_has_to_be_whole(tmp_path: Path) -> None:
    """The one that is not is named."""
    first, second = (tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2))
    data = DEMO.read_bytes()
    first.write_bytes(data)
    second.write_bytes(data[: len(data) // 2])
    with pytest.raises(ConfigurationError, match=r"m-00002-of-00002\.gguf is cut off"):
        check_servable(first)


def test_a_value_of_an_unknown_kind_is_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    """A later version of the format may have one; what cannot be read is not judged."""
    path = model_file(tmp_path / "m.gguf", {**LLAMA, "tokenizer.odd": 77})
    data = path.read_bytes().replace(struct.pack("<II", 4, 77), struct.pack("<II", 99, 77))
    path.write_bytes(data)
    assert begin_of_last_tensor(data) == 0
    assert check_servable(path).architecture == "llama"


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_whatever_a_header_holds_the_walk_ends(filling: bytes, place: int) -> None:
    """With a place, at once."""
    data = bytearray(DEMO.read_bytes()[:4096])
    data[place : place + len(filling)] = filling
    assert begin_of_last_tensor(bytes(data)) >= 0

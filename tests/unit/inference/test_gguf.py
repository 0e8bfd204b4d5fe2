"""Headers of GGUF files: what is hostile, cut or absurd is refused with its own code; what is right is read right."""

from __future__ import annotations

import ctypes
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidInput
from appliance.inference.store.gguf import read_gguf
from appliance.inference.store.gguf_types import TENSOR_TYPES
from appliance.inference.store.incoming import gguf_facts
from tests.unit.inference.gguf_samples import METADATA, gguf, pair, tensor, text, write

GOOD = gguf()
ARCHITECTURE = pair("general.architecture", "llama")


def without(*keys: str, **more: object) -> dict[str, object]:
    return {key: value for key, value in METADATA.items() if key not in keys} | more


REFUSED = [
    ("empty", b"", "model.gguf_truncated"),
    ("wrong magic", gguf(magic=b"GGML"), "model.not_gguf"),
    ("text", b"Dear reader, this is a letter.", "model.not_gguf"),
    ("version 1", gguf(version=1), "model.gguf_version"),
    ("big endian", gguf(version=3 << 24), "model.gguf_version"),
    ("magic alone", b"GGUF", "model.gguf_truncated"),
    ("cut in the counts", GOOD[:15], "model.gguf_truncated"),
    ("cut in the metadata", GOOD[:60], "model.gguf_truncated"),
    ("cut in the weights", GOOD[:-1], "model.gguf_truncated"),
    ("half", GOOD[: len(GOOD) // 2], "model.gguf_truncated"),
    ("absurd number of tensors", gguf(tensor_count=2**63), "model.gguf_damaged"),
    ("absurd number of entries", gguf(pair_count=2**64 - 1), "model.gguf_damaged"),
    ("more tensors than there are", gguf(tensor_count=60_000), "model.gguf_damaged"),
    ("no architecture", gguf(without("general.architecture")), "model.gguf_damaged"),
    ("architecture is a number", gguf(without("general.architecture") | {"general.architecture": 3}), "model.gguf_damaged"),
    ("an entry twice", gguf()[:16] + struct.pack("<Q", 2) + ARCHITECTURE * 2, "model.gguf_damaged"),
    ("endless key", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "model.gguf_damaged"),
    ("endless text", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IQ", 8, 2**40), "model.gguf_damaged"),
    ("endless list", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 0, 2**60), "model.gguf_damaged"),
    ("unknown kind", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 99), "model.gguf_damaged"),
    ("lists in lists", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQIQ", 9, 1, 9, 1), "model.gguf_damaged"),
    ("ten dimensions", gguf(tensors=(tensor("t", (1,) * 10, 0, 0),)), "model.gguf_damaged"),
    ("no dimensions", gguf(tensors=(tensor("t", (), 0, 0),)), "model.gguf_damaged"),
    ("impossibly large tensor", gguf(tensors=(tensor("t", (2**40, 2**40), 0, 0),)), "model.gguf_damaged"),
    ("unknown tensor type", gguf(tensors=(tensor("t", (64,), 4, 0),)), "model.gguf_damaged"),
    ("half a block", gguf(tensors=(tensor("t", (33,), 2, 0),)), "model.gguf_damaged"),
    ("tensor behind the end", gguf(tensors=(tensor("t", (64,), 0, 2**33),)), "model.gguf_truncated"),
    ("crooked alignment", gguf(without() | {"general.alignment": 33}), "model.gguf_damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_a_model_is_refused_with_its_reason(tmp_path: Path, content: bytes, code: str):
    with pytest.raises(InvalidInput) as refusal:
        read_gguf(write(tmp_path / "model.gguf", content))
    assert refusal.value.stable_code == code
    assert refusal.value.sentence.endswith(".")
    assert "\n" not in refusal.value.sentence


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        (without() | {"general.type": "adapter"}, "model.adapter"),
        (without() | {"split.count": 3}, "model.split"),
    ],
)
def test_parts_of_models_are_refused(tmp_path: Path, metadata: dict[str, object], code: str):
    with pytest.raises(InvalidInput) as refusal:
        gguf_facts(read_gguf(write(tmp_path / "m", gguf(metadata))))
    assert refusal.value.stable_code == code


def test_a_header_without_weights_is_no_model(tmp_path: Path):
    with pytest.raises(InvalidInput) as refusal:
        gguf_facts(read_gguf(write(tmp_path / "m", gguf(tensors=(), data_bytes=0))))
    assert refusal.value.stable_code == "model.no_weights"


def test_the_facts_of_a_small_file(tmp_path: Path):
    facts = gguf_facts(read_gguf(write(tmp_path / "m", GOOD)))
    assert (facts.kind, facts.architecture, facts.title, facts.quantisation) == ("language", "llama", "tiny", "F32")
    assert (facts.context_tokens, facts.licence, facts.chat_template, facts.vocabulary) == (512, "apache-2.0", True, 3)
    assert facts.parameters_m == round(64 * 32 / 1e6, 1)
    assert facts.kv_bytes_per_token == 2 * 2 * (16 + 16) * 2  # layers, heads, keys and values, 16 bits


def test_a_pooling_model_is_an_embedder(tmp_path: Path):
    facts = gguf_facts(read_gguf(write(tmp_path / "m", gguf(without() | {"llama.pooling_type": 1}))))
    assert facts.kind == "embedding"


def test_a_long_vocabulary_is_counted_and_not_kept(tmp_path: Path):
    header = read_gguf(write(tmp_path / "m", gguf(without() | {"tokenizer.ggml.tokens": ["word"] * 5_000})))
    assert header.lengths["tokenizer.ggml.tokens"] == 5_000
    assert header.metadata["tokenizer.ggml.tokens"] is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(GOOD) - 8_192 - 1), value=st.binary(min_size=1, max_size=8))
@example(position=8, value=b"\xff" * 8)
@example(position=24, value=b"\xff" * 8)
def test_no_damage_does_more_than_a_refusal(tmp_path: Path, position: int, value: bytes):
    damaged = GOOD[:position] + value + GOOD[position + len(value) :]
    path = write(tmp_path / "m", damaged)
    start = time.perf_counter()
    try:
        gguf_facts(read_gguf(path))
    except InvalidInput as error:
        assert error.stable_code.startswith("model.")
    assert time.perf_counter() - start < 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, len(GOOD) - 1))
def test_every_cut_is_noticed(tmp_path: Path, length: int):
    with pytest.raises(InvalidInput) as refusal:
        read_gguf(write(tmp_path / "m", GOOD[:length]))
    assert refusal.value.stable_code == "model.gguf_truncated"


def test_the_table_of_tensor_types_is_the_library_s():
    import llama_cpp

    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    library.ggml_type_size.restype, library.ggml_blck_size.restype = ctypes.c_size_t, ctypes.c_int64
    for number, (name, block, size) in TENSOR_TYPES.items():
        assert (library.ggml_blck_size(number), library.ggml_type_size(number)) == (block, size), name


def test_the_default_model_is_read_as_what_it_is():
    from appliance.inference.sources import LANGUAGE_MODEL, locate

    facts = gguf_facts(read_gguf(locate(LANGUAGE_MODEL)))
    assert (facts.quantisation, facts.parameters_m, facts.context_tokens) == ("Q4_1", 134.5, 8_192)
    assert (facts.vocabulary, facts.kv_bytes_per_token) == (49_152, 30 * 3 * 128 * 2)

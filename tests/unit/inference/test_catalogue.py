"""The catalogue of models is sound, and what is not sound is refused at the first question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.errors import SetupError
from appliance.inference.quantisations import BITS_PER_WEIGHT, ONE_BIT, QUANTISATIONS, Source, plan
from appliance.inference.store.catalogue import Catalogue, Entry
from appliance.inference.store.memory import needed_mb
from appliance.inference.store.versions import Facts, SizeClass, size_class

ENTRIES = Catalogue(POLICIES_DIR / "models.toml").entries
ENTRY = """
[model.x]
title = "X"
kind = "language"
parameters_m = 1
context_tokens = 1
layers = 1
kv_heads = 1
head_length = 1
vocabulary = 1
template = "chatml"
licence = "MIT"
quantisations = ["F16"]
[model.x.source]
ollama = "ollama:x"
"""
WANTED = {
    "smollm2-135m-instruct": SizeClass.MICRO, "qwen3-0.6b": SizeClass.MICRO, "qwen3-1.7b": SizeClass.SMALL,
    "qwen3-4b": SizeClass.SMALL, "qwen2.5-3b-instruct": SizeClass.SMALL, "phi-4-mini-instruct": SizeClass.SMALL,
    "llama-3.2-3b-instruct": SizeClass.SMALL, "gemma-3-1b-it": SizeClass.MICRO, "deepseek-r1-distill-qwen-1.5b": SizeClass.SMALL,
    "mistral-7b-instruct-v0.3": SizeClass.SMALL, "bitnet-b1.58-2b-4t": SizeClass.SMALL, "all-minilm-l6-v2": SizeClass.MICRO,
}  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), WANTED.items())
def test_each_known_model_has_its_class(name: str, expected: SizeClass):
    assert ENTRIES[name].size_class is expected


def test_each_language_model_that_a_runtime_here_can_read_has_a_source_for_each_way_of_running_one():
    for entry in ENTRIES.values():
        if entry.kind == "language" and ONE_BIT.name not in entry.quantisations:
            assert {"llamacpp", "ollama", "openai_http"} <= {source.runtime for source in entry.sources}, entry.name


def test_all_quantisations_are_used_and_fewer_bits_need_less_memory():
    assert {name for entry in ENTRIES.values() for name in entry.quantisations} == set(BITS_PER_WEIGHT)
    for entry in ENTRIES.values():
        by_bits = sorted(entry.quantisations, key=lambda name: BITS_PER_WEIGHT[name])
        sizes = [entry.memory_mb(name) for name in by_bits]
        assert sizes == sorted(set(sizes)), entry.name
        assert entry.memory_mb("F16", context_tokens=1) < entry.memory_mb("F16") or entry.kind == "embedding"


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES.values() if entry.kind == "language"], ids=lambda entry: entry.name)
def test_memory_is_known_for_every_format_that_could_be_made(entry: Entry):
    one_bit = ONE_BIT.name in entry.quantisations
    expected = ("F16", "1-bit") if one_bit else tuple(item.name for item in QUANTISATIONS if item is not ONE_BIT)
    assert entry.quantisations == expected
    weights = {name: entry.parameters_m * BITS_PER_WEIGHT[name] / 8 for name in expected}
    assert all(entry.memory_mb(name) > weights[name] for name in expected)
    made = {item.name for item in plan(Source("F16", 1, 1, trained_one_bit=one_bit), lambda _: 0, 1).make}
    assert {*expected} - {"F16"} <= made


def test_the_computed_memory_of_the_default_is_near_its_files():
    entry = ENTRIES["smollm2-135m-instruct"]
    facts = Facts("gguf", "language", "", "llama", "Q8_0", 134.5, 8_192, 23_040, 49_152, chat_template=True, licence="")
    assert entry.memory_mb("Q8_0") == pytest.approx(needed_mb(facts, 144_811_072), rel=0.03)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must hold tables"),
        ("model = 3", "must hold tables"),
        ("[model.x]\n", "has no title"),
        (ENTRY.replace('title = "X"', 'title = "X"\nprice = 3'), "unknown entries: price"),
        (ENTRY.replace('"language"', '"vision"'), "unknown kind"),
        (ENTRY.replace('["F16"]', '["Q3_K"]'), "unknown quantisation"),
        (ENTRY.replace('["F16"]', "[]"), "unknown quantisation"),
        (ENTRY.replace("layers = 1", "layers = 0"), "no layers"),
        (ENTRY.replace('ollama = "ollama:x"', ""), "no source"),
        (ENTRY.replace('ollama = "ollama:x"', 'ollama = "https:x"'), "unknown source"),
        (ENTRY.replace("ollama =", "teleport ="), "unknown source"),
        (ENTRY.replace('"language"', '"embedding"').replace("ollama:x", "alias:x"), "unknown source"),  # Foundry embeds nothing
        (ENTRY.replace('licence = "MIT"', 'licence = "MIT"\nunusable = "No."'), "unusable although it has one"),
        ("[[", "cannot be read"),
    ],
)
def test_a_catalogue_that_is_wrong_is_refused(tmp_path: Path, text: str, sentence: str):
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(SetupError, match=sentence):
        Catalogue(file).entry("x")


def test_a_catalogue_that_is_right_is_not(tmp_path: Path):
    file = tmp_path / "models.toml"
    file.write_text(ENTRY)
    assert Catalogue(file).entry("x").sources[0].value == "x"
    assert Catalogue(file).entry("y") is None


@pytest.mark.parametrize(
    ("parameters_m", "expected"),
    [(22, "micro"), (100, "micro"), (1_400, "micro"), (1_500, "small"), (13_900, "small"), (14_000, "medium"), (30_000, "medium"), (70_000, "medium")],
)  # fmt: skip
def test_size_classes(parameters_m: float, expected: str):
    assert size_class(parameters_m).value == expected


def test_a_gguf_model_is_charged_with_the_scores_of_one_step_not_of_a_whole_batch():
    facts = Facts("gguf", "language", "X", "llama", "Q4_0", 135, 4_096, 0, 256_000, chat_template=True, licence="MIT")
    folder = replace(facts, format="genai")
    assert needed_mb(facts, 0) < 100 < needed_mb(folder, 0)

"""The one list of formats: which are made of which source, and the reason for each that is not."""

from __future__ import annotations

import re

import pytest

from appliance.inference.quantisations import BITS_PER_WEIGHT, LATER, QUANTISATIONS, Source, plan
from appliance.inference.store.gguf_types import FILE_TYPES

ALL = [item.name for item in QUANTISATIONS]


def planned(quantisation: str, *, one_bit: bool = False, room_mb: int = 10_000, first_start: bool = False):
    source = Source(quantisation, 98_000_000, 134.5, trained_one_bit=one_bit)
    return plan(source, lambda size: size // 1_000_000, room_mb, first_start=first_start)


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("F32", ["F16", "Q8_0", "Q5_1", "Q4_K_M", "Q4_0"]),
        ("BF16", ["F16", "Q8_0", "Q5_1", "Q4_K_M", "Q4_0"]),
        ("F16", ["Q8_0", "Q5_1", "Q4_K_M", "Q4_0"]),
        ("Q8_0", ["F16", "Q5_1", "Q4_K_M", "Q4_0"]),
        ("Q6_K", ["F16", "Q8_0", "Q5_1", "Q4_K_M", "Q4_0"]),
        ("Q5_K_M", ["F16", "Q8_0", "Q4_K_M", "Q4_0"]),  # 5.5 bits: Q5_1 would hold no more
        ("Q4_1", ["F16", "Q8_0", "Q4_K_M", "Q4_0"]),
        ("Q4_0", ["F16", "Q8_0", "Q4_K_M"]),
        ("odd", ["F16", "Q8_0", "Q4_K_M", "Q4_0"]),  # 5.8 bits, by its size
    ],
)
def test_what_is_made_of_a_source(source: str, made: list[str]):
    found = planned(source)
    assert [item.name for item in found.make] == made
    assert {*made, *found.left_out} == {*ALL} - {source}
    assert all(reason.endswith(".") for reason in found.left_out.values())


def test_more_bits_than_the_source_has_are_made_for_quick_kernels_alone():
    assert "no more than its source in Q4_1" in planned("Q4_1").left_out["Q5_1"]
    for name in ("Q2_K", "Q4_0", "Q4_1", "Q5_K_S"):
        bits = Source(name, 0, 1).bits
        assert all(item.quick for item in planned(name).make if item.bits > bits)


def test_one_bit_is_for_models_trained_so():
    assert "trained" in planned("F16").left_out["1-bit"]
    assert "1-bit" in [item.name for item in planned("F16", one_bit=True).make]
    assert "1-bit" not in {
        **planned("TQ2_0", one_bit=True).left_out,
        **{item.name: "" for item in planned("TQ2_0", one_bit=True).make},
    }


def test_what_needs_more_memory_than_is_permitted_is_not_made():
    found = planned("Q4_1", room_mb=200)
    assert [item.name for item in found.make] == ["Q8_0", "Q4_K_M", "Q4_0"]
    assert re.fullmatch(r"It would need about 31\d MB of memory; 200 MB are permitted\.", found.left_out["F16"])
    assert planned("Q4_1", room_mb=0).make == ()


def test_the_first_start_makes_fewer_and_says_that_they_are_left_to_optimize():
    found = planned("Q4_1", first_start=True)
    assert [item.name for item in found.make] == ["Q8_0", "Q4_0"]
    assert {name for name, reason in found.left_out.items() if reason == LATER} == {"F16", "Q4_K_M"}
    later = planned("Q4_1")
    assert {item.name for item in found.make} < {item.name for item in later.make}


def test_the_numbers_are_those_of_the_library_and_more_bits_come_first():
    llama_cpp = pytest.importorskip("llama_cpp")
    for item in QUANTISATIONS:
        assert FILE_TYPES[item.number] == item.called
        assert getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{item.called}") == item.number
    assert [*BITS_PER_WEIGHT.values()] == sorted(BITS_PER_WEIGHT.values(), reverse=True)

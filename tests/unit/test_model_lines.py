"""What `cloister models show` says of the variants of a version: figures, what became of each, and why."""

from __future__ import annotations

from dataclasses import replace

from appliance.cli.model_lines import figures_of
from appliance.inference.store.versions import ModelVersion, SizeClass, VersionState

VERSION = ModelVersion(
    id="harbour@1", kind="language", name="harbour", number=1, format="gguf", quantisation="Q8_0", architecture="llama",
    parameters_m=135, size_class=SizeClass.MICRO, context_tokens=4_096, memory_mb=200, licence="MIT", sha256="a" * 64,
    size_bytes=1, source="a stick", state=VersionState.CANDIDATE, measured={"prefill_tokens_per_s": 549.0},
)  # fmt: skip


def told(*trials: dict[str, object]) -> list[str]:
    return [" ".join(line.split()) for line in figures_of(replace(VERSION, trials=trials))]


def test_a_version_without_a_table_has_its_own_figures():
    assert told() == ["Q8_0 prefill_tokens_per_s 549"]


def test_each_variant_has_a_line_with_its_reason():
    kept = {
        "format": "int8",
        "runtime": "genai",
        "version": "harbour@2",
        "quality": 0.75,
        "outcome": "kept",
        "reason": "The fastest.",
    }
    assert told(kept, {"format": "1-bit", "runtime": "llamacpp", "outcome": "left out", "reason": "Not trained so."}) == [
        "int8 in genai (harbour@2) quality 0.75; kept: The fastest.",
        "1-bit in llamacpp left out: Not trained so.",
    ]


def test_a_table_from_before_there_were_reasons_is_still_told():
    assert told({"format": "Q4_0", "prefill_tokens_per_s": 721.0}) == ["Q4_0 prefill_tokens_per_s 721"]

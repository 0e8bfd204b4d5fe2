"""Each entry of the catalogue says what of it this box can hold and run, and how it comes in."""

from __future__ import annotations

from types import SimpleNamespace

from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.inference.hardware.models import Hardware
from appliance.inference.known_models import KnownModel, known_models
from appliance.inference.registry import Availability, RuntimeSpec, runtime_names, runtime_specs
from appliance.inference.selection.policy import load_policy
from appliance.inference.store.catalogue import Catalogue
from appliance.inference.store.versions import ModelVersion, SizeClass, VersionState

ENTRIES = Catalogue(POLICIES_DIR / "models.toml").entries
POLICY = load_policy(POLICIES_DIR / "routing.toml", runtimes=runtime_names())


def spec(name: str, form: str, reason: str = "") -> RuntimeSpec:
    return RuntimeSpec(name, name, frozenset({form}), lambda: Availability(not reason, reason), lambda _: None)


SPECS = {
    item.name: item
    for item in (spec("genai", "genai", "It is not installed."), spec("llamacpp", "gguf"), spec("ollama", "served"), spec("openai_http", "served"))
}  # fmt: skip


def known(name: str, *versions: ModelVersion, specs=SPECS, **hardware: object) -> KnownModel:
    return known_models([ENTRIES[name]], versions, specs, Hardware(**hardware), POLICY)[0]


def version(name: str, source: str = "a file") -> ModelVersion:
    return ModelVersion(
        id=f"{name}@1", kind="language", name=name, number=1, format="gguf", quantisation="Q4_0", architecture="llama", parameters_m=1,
        size_class=SizeClass.MICRO, context_tokens=1, memory_mb=1, licence="MIT", sha256="0" * 64, size_bytes=1, source=source,
        state=VersionState.CANDIDATE,
    )  # fmt: skip


def test_what_nobody_here_can_use_says_why_and_offers_no_way_in():
    model = known("colbertv2.0", memory_total_mb=64_000)
    assert model.entry.unusable.endswith(".")
    assert (model.supplies, model.runners) == ((), ())


def test_every_other_entry_has_a_way_in_that_a_built_in_runtime_takes():
    for model in known_models(ENTRIES.values(), [], runtime_specs(), Hardware(), POLICY):
        assert model.entry.unusable or any(supply.runtimes for supply in model.supplies), model.entry.name


def test_without_a_runtime_that_takes_it_nothing_runs_it():
    model = known("qwen3-4b", specs={"genai": SPECS["genai"]}, memory_total_mb=64_000)
    assert model.fits
    assert model.runners == ()


def test_memory_that_is_not_known_or_must_stay_free_holds_nothing():
    need = ENTRIES["qwen3-4b"].memory_mb("Q4_0")
    assert not known("qwen3-4b").fits
    assert not known("qwen3-4b", memory_total_mb=need + POLICY.memory_headroom_mb - 1).fits
    model = known("qwen3-4b", memory_total_mb=need + POLICY.memory_headroom_mb)
    assert [item.quantisation for item in model.needs if item.fits_on] == ["Q4_0"]


def test_a_device_with_memory_of_its_own_counts_and_one_that_shares_the_box_s_does_not():
    devices = (
        SimpleNamespace(device="cuda:0", memory_total_mb=6_000, shares_memory=False),
        SimpleNamespace(device="gpu", memory_total_mb=0, shares_memory=True),
    )
    needs = known("qwen3-4b", memory_total_mb=4_000, accelerators=devices).needs
    assert {item.quantisation: item.fits_on for item in needs} == {
        "F16": (),
        "Q8_0": ("cuda:0",),
        "Q5_1": ("cuda:0",),
        "Q4_K_M": ("cpu", "cuda:0"),
        "Q4_0": ("cpu", "cuda:0"),
    }


def test_each_source_says_how_it_comes_in_and_what_runs_it_then():
    model = known("phi-4-mini-instruct")
    assert [(item.kind, item.command, item.runtimes) for item in model.supplies] == [
        ("file", "cloister models import FILE.gguf --name phi-4-mini-instruct", ("llamacpp",)),
        ("ollama", "cloister models pull phi-4-mini-instruct", ("llamacpp",)),
        ("ollama", "cloister models connect ollama:phi4-mini:3.8b --name phi-4-mini-instruct", ("ollama",)),
        ("folder", "cloister models import FOLDER --name phi-4-mini-instruct", ("genai",)),
        ("folder", "cloister models import FOLDER --name phi-4-mini-instruct", ("genai",)),
        (
            "server",
            "cloister models connect destination:PLACE:microsoft/Phi-4-mini-instruct --name phi-4-mini-instruct",
            ("openai_http",),
        ),
    ]
    assert {item.name: item.reason for item in model.runners} == {
        "llamacpp": "",
        "ollama": "",
        "genai": "It is not installed.",
        "openai_http": "",
    }
    assert [item.runtimes for item in known("bitnet-b1.58-2b-4t").supplies] == [("openai_http",)]
    assert [(item.kind, item.runtimes) for item in known("nomic-embed-text-v1.5").supplies] == [
        ("folder", ("embedder",)),
        ("file", ("llamacpp",)),
        ("ollama", ("llamacpp",)),
        ("ollama", ("ollama",)),
    ]


def test_what_is_installed_is_known_by_its_name_or_by_where_it_came_from():
    versions = (
        version("qwen3-4b"),
        version("mine", "ollama:qwen3:4b"),
        version("yours", "Ollama: qwen3:4b"),
        version("qwen3-4b-2507"),
    )
    assert known("qwen3-4b", *versions).versions == {"qwen3-4b@1": "candidate", "mine@1": "candidate", "yours@1": "candidate"}

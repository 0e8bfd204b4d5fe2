"""What becomes an offer, and where it would answer."""

from __future__ import annotations

from dataclasses import replace

from appliance.inference.registry import Availability, RuntimeSpec
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import Reason
from appliance.inference.selection.offers import offers_of
from appliance.inference.store.versions import ModelVersion, SizeClass, VersionState
from tests.unit.inference.selection.offers import BOXES, POLICIES, ask


def load(_):
    raise AssertionError("selecting loads nothing")


SPECS = {
    name: RuntimeSpec(name, name, frozenset({taken}), lambda available=available: available, load)
    for name, taken, available in (
        ("llamacpp", "gguf", Availability(usable=True, libraries=("cuda", "cpu"))),
        ("genai", "genai", Availability(usable=False, reason="It is not installed.")),
        ("ollama", "served", Availability(usable=True)),
        ("openai_http", "served", Availability(usable=True)),
    )
}
VERSION = ModelVersion(
    "smol@3",
    "language",
    "smol",
    3,
    "gguf",
    "Q4_0",
    "llama",
    135.0,
    SizeClass.MICRO,
    8_192,
    320,
    "",
    "0" * 64,
    1,
    "file",
    VersionState.CANARY,
    canary_percent=7,
)


def test_a_version_is_offered_by_each_runtime_that_takes_its_format():
    (offer,) = offers_of([VERSION, replace(VERSION, id="e@1", kind="embedding")], SPECS, 4_096)
    assert (offer.runtime, offer.model_id, offer.name, offer.state, offer.canary_percent) == (
        "llamacpp",
        "smol@3",
        "smol",
        "canary",
        7,
    )
    assert (offer.context_tokens, offer.libraries, offer.destination, offer.unusable) == (4_096, ("cuda", "cpu"), "", "")


def test_a_runtime_that_cannot_run_is_offered_with_its_reason():
    (offer,) = offers_of([replace(VERSION, format="genai", state=VersionState.ACTIVE)], SPECS, 4_096)
    (candidate,) = select(BOXES["large"], [offer], POLICIES["usual"], ask()).candidates
    assert (candidate.reason, candidate.sentence) == (Reason.UNUSABLE, "It is not installed.")


def test_a_model_inside_a_server_is_offered_where_it_is_and_never_as_if_it_were_here():
    served = replace(VERSION, format="served", state=VersionState.ACTIVE)
    far = offers_of([replace(served, source="destination:lan-server:big")], SPECS, 4_096)
    assert [(offer.runtime, offer.destination) for offer in far] == [("openai_http", "lan-server")]
    near = offers_of([replace(served, source="ollama:smollm2:135m")], SPECS, 4_096)
    assert [(offer.runtime, offer.destination) for offer in near] == [("ollama", "")]
    for source in ("", "file", "stranger:place:name", "openai_http"):
        assert offers_of([replace(served, source=source)], SPECS, 4_096) == []

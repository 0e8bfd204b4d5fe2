"""Box, policy and request in, decision out: one row each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.egress.seal.layers import Strength
from appliance.errors import Denied, Unavailable
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import Reason
from appliance.inference.selection.records import read_record, record_of, write_record
from tests.unit.inference.selection.offers import ADMINISTRATOR, BOXES, OFFERS, POLICIES, ask

DENIED, CANNOT = "denied", "cannot"

# box, policy, request, offers, who answers (or how it is refused), on what, and why others (or all) lost
TABLE = [
    # one model, one rule
    ("small", "usual", ask(), "micro", "micro", "cpu", {}),
    ("small", "usual", ask("public"), "micro", "micro", "cpu", {}),
    ("small", "usual", ask("secret"), "micro", "micro", "cpu", {}),
    ("small", "usual", ask(), "", CANNOT, "", {}),
    # policy: runtime, model, destination, seal, classification
    ("large", "usual", ask("confidential"), "npu_only", DENIED, "", {"npu only": "runtime_forbidden"}),
    ("large", "usual", ask("secret"), "genai", DENIED, "", {"genai": "runtime_forbidden"}),
    ("large", "usual", ask("secret"), "medium", DENIED, "", {"medium": "model_forbidden"}),
    ("large", "usual", ask("secret"), "medium small", "small", "cpu", {"medium": "model_forbidden"}),
    ("large", "usual", ask("public"), "far", "far", "", {}),
    ("large", "usual", ask("internal"), "far", DENIED, "", {"far": "runtime_forbidden"}),
    ("large", "usual", ask("internal"), "far micro", "micro", "cpu", {"far": "runtime_forbidden"}),
    ("large", "nothing", ask("internal"), "micro small medium", DENIED, "", {"micro": "runtime_forbidden"}),
    ("large", "nothing", ask("public"), "micro", "micro", "cpu", {}),
    ("large", "usual", ask("secret", seal=Strength.FILTER), "micro", DENIED, "", {"micro": "seal_missing"}),
    ("large", "usual", ask("confidential", seal=Strength.NONE), "small", DENIED, "", {"small": "seal_missing"}),
    ("large", "usual", ask("confidential", seal=Strength.FILTER), "small", "small", "cpu", {}),
    ("large", "usual", ask("internal", seal=Strength.NONE), "small", "small", "cpu", {}),
    ("large", "usual", ask("unheard of"), "micro", DENIED, "", {"micro": "classification_unknown"}),
    ("large", "usual", ask(""), "micro", DENIED, "", {"micro": "classification_unknown"}),
    # the box: memory, devices, context, runtimes that cannot run
    ("small", "usual", ask(), "medium", CANNOT, "", {"medium": "memory_short"}),
    ("small", "usual", ask(), "medium micro", "micro", "cpu", {"medium": "memory_short"}),
    ("small", "usual", ask(), "far medium", CANNOT, "", {"far": "runtime_forbidden", "medium": "memory_short"}),
    ("large", "usual", ask(), "medium", "medium", "cpu", {}),
    ("large", "roomy", ask(), "medium", "medium", "cpu", {}),
    ("small", "roomy", ask(), "micro", CANNOT, "", {"micro": "memory_short"}),
    ("full", "usual", ask(), "small", CANNOT, "", {"small": "memory_short"}),
    ("full", "usual", ask(loaded=frozenset({"qwen@1"})), "small", "small", "cpu", {}),
    ("unknown", "usual", ask(), "micro", CANNOT, "", {"micro": "memory_unknown"}),
    ("unknown", "usual", ask("public"), "far", "far", "", {}),
    ("large", "usual", ask(), "unmeasured", CANNOT, "", {"unmeasured": "memory_unknown"}),
    ("large", "usual", ask(), "broken micro", "micro", "cpu", {"broken": "unusable"}),
    ("large", "usual", ask(), "broken", CANNOT, "", {"broken": "unusable"}),
    ("large", "usual", ask(), "crashed micro", "micro", "cpu", {"crashed": "load_crashed"}),
    # what cannot be loaded: the next permitted one, and none that lost because it is forbidden
    ("large", "usual", ask(), "failed micro small", "small", "cpu", {"failed": "load_failed", "micro": "less_preferred"}),
    ("large", "usual", ask("public"), "failed_far micro", "micro", "cpu", {"failed far": "load_failed"}),
    ("large", "usual", ask("secret"), "failed_early", DENIED, "", {"failed early": "model_forbidden"}),
    ("small", "usual", ask(), "failed micro", "micro", "cpu", {"failed": "load_failed"}),
    ("large", "usual", ask(), "failed_canary micro", "micro", "cpu", {"failed canary": "load_failed"}),
    ("large", "usual", ask(), "failed_retired micro", "micro", "cpu", {"failed retired": "retired"}),
    ("large", "usual", ask(chosen="qwen@1", roles=ADMINISTRATOR), "failed_genai small", "small", "cpu", {}),
    ("large", "usual", ask(context_tokens=5_000), "micro", CANNOT, "", {"micro": "context_short"}),
    ("large", "usual", ask(context_tokens=5_000), "micro genai", "genai", "cpu", {"micro": "context_short"}),
    ("card", "usual", ask(), "card", "card", "cuda:0", {}),
    ("card", "processor only", ask(), "card", "card", "cpu", {}),
    ("small card", "usual", ask(), "card", "card", "cpu", {}),
    ("card", "usual", ask(), "card_only", "card only", "cuda:0", {}),
    ("card", "processor only", ask(), "card_only", CANNOT, "", {"card only": "no_device"}),
    ("large", "usual", ask(), "card_only", CANNOT, "", {"card only": "no_device"}),
    ("npu", "usual", ask(), "npu_only", "npu only", "intel_npu:0", {}),
    ("large", "usual", ask(), "npu_only", CANNOT, "", {"npu only": "no_device"}),
    ("metal", "usual", ask(), "metal", "metal", "metal:0", {}),
    ("large", "usual", ask(), "metal", CANNOT, "", {"metal": "no_device"}),
    # several that may and can: the policy's order
    ("large", "usual", ask(), "micro small medium", "medium", "cpu", {"micro": "less_preferred", "small": "less_preferred"}),
    ("card", "usual", ask(), "early card", "card", "cuda:0", {"early": "less_preferred"}),
    ("card", "processor only", ask(), "early card", "early", "cpu", {"card": "less_preferred"}),
    ("large", "usual", ask(), "genai small", "small", "cpu", {"genai": "less_preferred"}),
    ("large", "genai first", ask(), "genai small", "genai", "cpu", {"small": "less_preferred"}),
    ("large", "usual", ask("confidential"), "medium small", "small", "cpu", {"medium": "less_preferred"}),
    ("large", "largest first", ask("confidential"), "medium small", "medium", "cpu", {"small": "less_preferred"}),
    ("large", "usual", ask("public"), "far micro", "micro", "cpu", {"far": "less_preferred"}),
    # versions
    ("large", "usual", ask(), "candidate", CANNOT, "", {"candidate": "candidate"}),
    ("large", "usual", ask(), "micro candidate retired", "micro", "cpu", {"candidate": "candidate", "retired": "retired"}),
    ("large", "usual", ask(), "odd_state micro", "micro", "cpu", {"odd state": "unknown_state"}),
    ("large", "usual", ask(), "embedder micro", "micro", "cpu", {"embedder": "wrong_kind"}),
    ("large", "usual", ask(), "canary micro", "canary", "cpu", {"micro": "less_preferred"}),
    ("large", "usual", ask(), "canary medium", "canary", "cpu", {"medium": "less_preferred"}),
    ("large", "usual", ask(), "canary_none micro", "micro", "cpu", {"canary none": "canary_elsewhere"}),
    ("large", "usual", ask(conversation_id=""), "canary micro", "micro", "cpu", {"canary": "canary_elsewhere"}),
    ("large", "usual", ask(groups=frozenset({"pilots"})), "canary_group micro", "canary group", "cpu", {}),
    ("large", "usual", ask(groups=frozenset({"porters"})), "canary_group micro", "micro", "cpu", {}),
    ("large", "usual", ask(), "canary_large micro", "micro", "cpu", {"canary large": "memory_short"}),
    ("large", "usual", ask("secret"), "canary micro", "micro", "cpu", {"canary": "canary_forbidden"}),
    # chosen by hand
    ("large", "usual", ask(chosen="qwen@1", roles=ADMINISTRATOR), "small medium", "small", "cpu", {"medium": "not_chosen"}),
    ("large", "usual", ask(chosen="qwen", roles=ADMINISTRATOR), "small medium", "small", "cpu", {"medium": "not_chosen"}),
    ("large", "usual", ask(chosen="smol@2", roles=ADMINISTRATOR), "micro candidate", "candidate", "cpu", {"micro": "not_chosen"}),
    ("large", "usual", ask(chosen="smol@4", roles=ADMINISTRATOR), "micro canary_none", "canary none", "cpu", {}),
    ("large", "usual", ask(chosen="smol@0", roles=ADMINISTRATOR), "micro retired", CANNOT, "", {"retired": "retired"}),
    ("large", "usual", ask(chosen="nowhere@1", roles=ADMINISTRATOR), "micro", CANNOT, "", {"micro": "not_chosen"}),
    (
        "large",
        "usual",
        ask("secret", chosen="mistral", roles=ADMINISTRATOR),
        "micro medium",
        DENIED,
        "",
        {"medium": "model_forbidden"},
    ),
    (
        "large",
        "usual",
        ask("secret", chosen="smol@2", roles=ADMINISTRATOR),
        "candidate",
        DENIED,
        "",
        {"candidate": "canary_forbidden"},
    ),
    ("small", "usual", ask(chosen="mistral", roles=ADMINISTRATOR), "micro medium", CANNOT, "", {"medium": "memory_short"}),
    (
        "large",
        "usual",
        ask(chosen="qwen"),
        "small medium",
        DENIED,
        "",
        {"small": "choice_forbidden", "medium": "choice_forbidden"},
    ),
    ("large", "usual", ask(chosen="nowhere"), "small", DENIED, "", {"small": "choice_forbidden"}),
    ("large", "anybody chooses", ask(chosen="qwen"), "small medium", "small", "cpu", {"medium": "not_chosen"}),
]


@pytest.mark.parametrize(("box", "policy", "request_", "offers", "expected", "device", "lost"), TABLE)
def test_each_row(box, policy, request_, offers, expected, device, lost):
    offered = [OFFERS[name.replace("_", " ")] for name in offers.split()]
    selection = select(BOXES[box], offered, POLICIES[policy], request_)
    assert {candidate.offer for candidate in selection.candidates} == set(offered)
    reasons = {candidate.offer: candidate.reason for candidate in selection.candidates}
    assert {name: reasons[OFFERS[name]] for name in lost} == lost
    assert all(candidate.sentence.endswith(".") for candidate in selection.candidates)
    if expected in {DENIED, CANNOT}:
        assert selection.winner is None
        with pytest.raises(Denied if expected == DENIED else Unavailable) as refused:
            selection.require()
        choice = Reason.CHOICE_FORBIDDEN in reasons.values()
        assert refused.value.stable_code == ("inference.choice_denied" if choice else "inference.no_permitted_runtime")
    else:
        winner = selection.require()
        assert (winner.offer, winner.device) == (OFFERS[expected], device)
        assert selection.candidates[0] == winner


def test_the_table_is_large_enough_and_reaches_every_reason():
    assert len(TABLE) >= 40
    met = {reason for *_, lost in TABLE for reason in lost.values()}
    met |= {Reason.NO_LIBRARY, Reason.DEVICE_FORBIDDEN}  # test_devices.py
    # a destination is forbidden where its runtime is allowed: below
    assert set(Reason) - met == {Reason.PREFERRED, Reason.CANARY, Reason.BY_HAND, Reason.DESTINATION_FORBIDDEN}


UNLOADABLE = [
    ("internal", "failed", {}, "inference.load_failed"),
    ("internal", "failed crashed", {}, "inference.load_crashed"),
    # the next is forbidden: a refusal, not a fallback
    ("confidential", "failed npu_only", {"npu only": "runtime_forbidden"}, "inference.load_failed"),
    ("secret", "failed_older medium", {"medium": "model_forbidden"}, "inference.load_failed"),
]


@pytest.mark.parametrize(("classification", "offers", "lost", "code"), UNLOADABLE)
def test_where_nothing_else_is_permitted_there_is_a_refusal(classification, offers, lost, code):
    offered = [OFFERS[name.replace("_", " ")] for name in offers.split()]
    selection = select(BOXES["large"], offered, POLICIES["usual"], ask(classification))
    with pytest.raises(Unavailable) as refused:
        selection.require()
    assert refused.value.stable_code == code
    assert {name: one.reason for name in lost for one in selection.candidates if one.offer == OFFERS[name]} == lost
    assert selection.instead_of == ()


@pytest.mark.parametrize("wanted", ["failed early", "crashed"])
def test_a_model_chosen_by_hand_is_not_replaced_by_another_version_of_its_name(wanted):
    chosen = replace(OFFERS[wanted], name="qwen", size_class="small")
    asked = ask(chosen="qwen", roles=ADMINISTRATOR)
    selection = select(BOXES["large"], [chosen, OFFERS["small"], OFFERS["micro"]], POLICIES["usual"], asked)
    with pytest.raises(Unavailable, match=f"{chosen.model_id}, which was chosen by hand, could not be loaded") as refused:
        selection.require()
    assert refused.value.stable_code == f"inference.load_{'failed' if chosen.failed else 'crashed'}"
    reasons = {one.offer.model_id: one.reason for one in selection.candidates}
    assert reasons["qwen@1"] == reasons["smol@1"] == Reason.NOT_CHOSEN
    # by its id it would be: the same version, through whatever runtime is allowed
    assert select(BOXES["large"], [chosen, OFFERS["small"]], POLICIES["usual"], replace(asked, chosen="qwen@1")).winner


INSTEAD = [
    ("large", "failed micro", ["mistral@1"]),
    ("large", "failed failed_early micro", ["mistral@1", "aya@1"]),
    ("large", "failed_canary micro", ["smol@3"]),
    ("large", "crashed early", []),  # smaller: it would not have come first
    ("small", "failed micro", []),  # it would not have fitted
    ("large", "failed_retired micro", []),
]


@pytest.mark.parametrize(("box", "offers", "instead_of"), INSTEAD)
def test_what_would_have_answered_is_named_with_why_it_could_not(box, offers, instead_of):
    offered = [OFFERS[name.replace("_", " ")] for name in offers.split()]
    selection = select(BOXES[box], offered, POLICIES["usual"], ask())
    assert [one.offer.model_id for one in selection.instead_of] == instead_of
    record = read_record(write_record(record_of(selection)))
    assert record == record_of(selection)
    assert record.instead_of == {f"{name} llamacpp": "setup.model_digest" for name in instead_of}
    assert set(record.instead_of) <= set(record.lost)


def test_a_model_that_crashed_while_it_was_loaded_is_a_reason_of_its_own():
    selection = select(BOXES["large"], [OFFERS["crashed"], OFFERS["far"]], POLICIES["usual"], ask())
    with pytest.raises(Unavailable, match="crashed while it was loaded") as refused:
        selection.require()
    assert refused.value.stable_code == "inference.load_crashed"


def test_a_runtime_that_is_allowed_may_still_not_be_asked_elsewhere():
    policy = POLICIES["usual"]
    near = OFFERS["micro"]
    far = type(near)("llamacpp", "smol@9", "smol", context_tokens=4_096, destination="somewhere")
    selection = select(BOXES["large"], [far], policy, ask("public"))
    assert [candidate.reason for candidate in selection.candidates] == [Reason.DESTINATION_FORBIDDEN]
    assert selection.refusal is not None
    assert selection.refusal.denied


def test_a_refusal_does_not_name_models():
    """People who ask see this sentence; which models there are is for administrators."""
    selection = select(BOXES["large"], [OFFERS["medium"]], POLICIES["usual"], ask("secret"))
    assert selection.refusal is not None
    assert "mistral" not in selection.refusal.sentence

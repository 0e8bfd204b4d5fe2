"""What holds for every box, offer, policy and request."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.egress.seal.layers import Strength
from appliance.inference.devices import drives, kind_of
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import Offer, Reason, SelectionRequest
from appliance.inference.selection.objections import in_canary_share
from tests.unit.inference.selection.offers import ADMINISTRATOR, BOXES, DAMAGED, EMPLOYEE, OFFERS, POLICIES, ask

offer = st.builds(
    Offer,
    runtime=st.sampled_from(["llamacpp", "genai", "foundry", "openai", "stranger"]),
    model_id=st.sampled_from(["a@1", "a@2", "b@1", "smol@1"]),
    name=st.sampled_from(["smol", "qwen", "qwen3", "other"]),
    kind=st.sampled_from(["language", "language", "language", "embedding"]),
    size_class=st.sampled_from(["micro", "small", "medium", "odd"]),
    memory_mb=st.sampled_from([0, 300, 3_000, 30_000]),
    context_tokens=st.sampled_from([512, 4_096, 32_768]),
    state=st.sampled_from(["candidate", "canary", "active", "active", "active", "retired", "odd"]),
    canary_percent=st.integers(0, 100),
    canary_group=st.sampled_from(["", "pilots"]),
    libraries=st.sampled_from([("cpu",), ("cuda", "cpu"), ("openvino",), ("abacus", "cpu"), ()]),
    destination=st.sampled_from(["", "", "lan-server", "elsewhere"]),
    unusable=st.sampled_from(["", "", "", "It is not installed."]),
    failed=st.sampled_from([None, None, None, DAMAGED]),
)
request = st.builds(
    SelectionRequest,
    classification=st.sampled_from(["public", "internal", "confidential", "secret", "odd"]),
    roles=st.sampled_from([EMPLOYEE, ADMINISTRATOR, frozenset()]),
    groups=st.sampled_from([frozenset(), frozenset({"pilots"})]),
    conversation_id=st.sampled_from(["", "c1", "c2", "c3"]),
    chosen=st.sampled_from(["", "", "", "a@1", "qwen"]),
    context_tokens=st.sampled_from([0, 1_000, 20_000]),
    seal=st.sampled_from(list(Strength)),
    loaded=st.sampled_from([frozenset(), frozenset({"a@1"})]),
)
box = st.sampled_from(list(BOXES.values()))
policy = st.sampled_from(list(POLICIES.values()))
offers = st.lists(offer, max_size=6)
many = settings(max_examples=150, deadline=None)


@many
@given(box, offers, policy, request)
def test_what_wins_is_allowed_and_fits(hardware, offered, policy, asked):
    selection = select(hardware, offered, policy, asked)
    assert (selection.winner is None) != (selection.refusal is None)
    assert {candidate.offer for candidate in selection.candidates} == set(offered)
    if selection.winner is None:
        return
    won, rule = selection.winner.offer, policy.rules[asked.classification]
    assert won.runtime in rule.runtimes
    assert rule.model_rank(won.name) is not None
    assert not won.destination or won.destination in rule.destinations
    assert asked.seal.meets(rule.seal)
    assert won.kind == "language"
    assert won.state in ({"active", "canary", "candidate"} if asked.chosen else {"active", "canary"})
    assert won.state == "active" or rule.canary
    assert not won.unusable
    assert not won.failed
    assert all(one.offer.failed for one in selection.instead_of)
    assert not asked.chosen or all(one.offer.model_id == won.model_id for one in selection.instead_of)
    assert won.context_tokens >= asked.context_tokens
    assert not asked.chosen or (asked.chosen in {won.model_id, won.name} and asked.roles & policy.choosers)
    if not won.destination:
        assert selection.winner.library in won.libraries
        assert drives(selection.winner.library, selection.winner.device)
        assert kind_of(selection.winner.device) in policy.devices
        assert selection.winner.device == "cpu" or hardware.accelerator(selection.winner.device)
        assert won.memory_mb > 0


@many
@given(box, offers, policy, request, st.randoms())
def test_order_and_repetition_change_nothing(hardware, offered, policy, asked, random):
    first = select(hardware, offered, policy, asked)
    shuffled = [*offered, *offered[:2]]
    random.shuffle(shuffled)
    assert select(hardware, shuffled, policy, asked) == first


@many
@given(box, offers, offer, policy, request)
def test_an_offer_that_may_not_answer_changes_nothing(hardware, offered, more, policy, asked):
    before = select(hardware, offered, policy, asked)
    forbidden = replace(more, runtime="forbidden everywhere", model_id="z@1")
    after = select(hardware, [*offered, forbidden], policy, asked)
    assert after.winner == before.winner
    assert [candidate for candidate in after.candidates if candidate.offer != forbidden] == list(before.candidates)


@many
@given(box, offers, policy, request)
def test_taking_the_winner_away_never_lets_something_forbidden_in(hardware, offered, policy, asked):
    before = select(hardware, offered, policy, asked)
    if before.winner is None:
        return
    after = select(hardware, [item for item in offered if item != before.winner.offer], policy, asked)
    able = {candidate.offer for candidate in before.candidates if candidate.reason is Reason.LESS_PREFERRED}
    assert (after.winner is None) == (not able) or asked.chosen
    assert after.winner is None or after.winner.offer in able


@many
@given(box, offers, policy, request)
def test_what_fails_to_load_is_followed_as_if_it_were_not_there(hardware, offered, policy, asked):
    before = select(hardware, offered, policy, asked)
    if before.winner is None:
        return
    gone = before.winner.offer
    without = select(hardware, [item for item in offered if item != gone], policy, asked)
    after = select(hardware, [replace(item, failed=DAMAGED) if item == gone else item for item in offered], policy, asked)
    if asked.chosen and after.winner is None:
        assert all(one.offer.model_id != gone.model_id for one in [without.winner] if one)
    elif without.winner is None:
        assert after.winner is None
    else:
        assert after.winner == without.winner
        assert replace(gone, failed=DAMAGED) in {one.offer for one in after.instead_of}


@given(st.integers(0, 100), st.integers(0, 100), st.text(min_size=1))
def test_a_growing_share_keeps_its_conversations(percent, other, conversation_id):
    smaller, larger = sorted((percent, other))
    canary = OFFERS["canary"]
    if in_canary_share(replace(canary, canary_percent=smaller), conversation_id):
        assert in_canary_share(replace(canary, canary_percent=larger), conversation_id)


def test_the_share_is_what_it_says_and_differs_between_versions():
    conversations = [f"conversation-{number}" for number in range(4_000)]
    one, other = (replace(OFFERS["canary"], model_id=name, canary_percent=20) for name in ("smol@3", "smol@4"))
    first = {name for name in conversations if in_canary_share(one, name)}
    second = {name for name in conversations if in_canary_share(other, name)}
    assert 700 < len(first) < 900
    assert len(first & second) < 250
    # a stable hash: another process, another day, the same conversations
    assert [name for name in conversations[:12] if name in first] == ["conversation-1", "conversation-3", "conversation-7"]
    assert select(BOXES["large"], [one, OFFERS["micro"]], POLICIES["usual"], ask(conversation_id=min(first))).winner.offer == one

"""The decision. Pure: no clock, no disk, no chance; equal input gives equal output, in whatever order it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from appliance.inference.devices import SPEED, kind_of, library_for
from appliance.inference.hardware.models import Hardware
from appliance.inference.selection.models import (
    CHOICE_DENIED,
    LOAD_CRASHED,
    LOAD_FAILED,
    NO_PERMITTED_RUNTIME,
    NOT_LOADED,
    OF_POLICY,
    OF_THE_BOX,
    WON,
    Candidate,
    Offer,
    PassedOver,
    Reason,
    Refusal,
    Selection,
    SelectionRequest,
)
from appliance.inference.selection.objections import of_box, of_device, of_policy, of_version
from appliance.inference.selection.policy import RoutingPolicy, Rule

_SIZES = ("medium", "small", "micro")  # a larger model answers better


def select(hardware: Hardware, offers: Sequence[Offer], policy: RoutingPolicy, request: SelectionRequest) -> Selection:
    """Which of `offers` answers, and why each other one does not.

    An offer must pass its version's state and the hand's choice, the policy, the box. Of those that pass, a canary whose
    share this conversation falls in goes first, then the policy's order decides. Where none passes there is a refusal, and so
    where a model that was chosen by hand cannot be loaded: another one does not answer in its place.
    """
    if request.chosen and not request.roles & policy.choosers:
        return _choice_denied(offers, policy, request)
    judged = [_judge(offer, hardware, policy, request) for offer in sorted(set(offers), key=_total_order)]
    able = [candidate for candidate in judged if candidate.reason in WON]
    lost = [candidate for candidate in judged if candidate.reason not in WON]
    if not able:
        return Selection(request.classification, tuple(lost), None, _refusal(lost, request), policy.sha256)
    rule = policy.rules[request.classification]
    able.sort(key=lambda candidate: _rank(candidate, policy, rule))
    winner, *others = able
    ahead = _ahead(lost, winner, hardware, policy, request)
    if request.chosen and any(candidate.offer.model_id != winner.offer.model_id for candidate in ahead):
        return _choice_unloadable(ahead, able, lost, policy, request)
    sentence = f"It could answer, but {winner.offer.model_id} comes first."
    beaten = [replace(other, reason=Reason.LESS_PREFERRED, sentence=sentence) for other in others]
    return Selection(request.classification, (winner, *beaten, *lost), winner, None, policy.sha256, ahead)


def _judge(offer: Offer, hardware: Hardware, policy: RoutingPolicy, request: SelectionRequest) -> Candidate:
    for objections in (of_version(offer, request), of_policy(offer, policy, request), of_box(offer, request)):
        for reason, sentence in objections:
            return Candidate(offer, reason, sentence)
    reason, sentence = Reason.PREFERRED, "It comes first among those that may and can answer."
    if request.chosen:
        reason, sentence = Reason.BY_HAND, "It was chosen by hand."
    elif offer.state == "canary":
        reason, sentence = Reason.CANARY, "This conversation is in its share of trials."
    if offer.destination:  # what runs elsewhere needs no device of ours
        return Candidate(offer, reason, sentence)
    return _placed(Candidate(offer, reason, sentence), hardware, policy, request)


def _placed(candidate: Candidate, hardware: Hardware, policy: RoutingPolicy, request: SelectionRequest) -> Candidate:
    """On the first device in the policy's order that it can drive and on which it fits; lost where there is none."""
    offer = candidate.offer
    passed: list[PassedOver] = []
    for kind in policy.devices:
        library = library_for(kind, offer.libraries)
        for device in hardware.of_kind(kind):
            if library is None:
                passed.append(PassedOver(device, Reason.NO_LIBRARY, f"{_named(device, hardware)}: {_no_library(offer)}"))
                continue
            found = next(of_device(device, offer, hardware, policy, request), None)
            if found is None:
                passed += _left_out(device, hardware, policy)
                return replace(candidate, device=device, library=library, passed_over=tuple(passed))
            passed.append(PassedOver(device, found[0], f"{_named(device, hardware)}: {found[1]}"))
    short = [(one.reason, one.sentence) for one in passed if one.reason is not Reason.NO_LIBRARY]
    listed = " or ".join(sorted(offer.libraries)) or "nothing"
    nothing = f"It computes through {listed}; this box has no device for that, or the routing policy leaves it out."
    return Candidate(offer, *(short[-1] if short else (Reason.NO_DEVICE, nothing)))


def _left_out(chosen: str, hardware: Hardware, policy: RoutingPolicy) -> list[PassedOver]:
    """Devices of kinds that the policy does not list and that are faster as a rule than the chosen one's."""
    faster = SPEED[: SPEED.index(kind_of(chosen))]
    found = [device for kind in faster if kind not in policy.devices for device in hardware.of_kind(kind)]
    sentence = "The routing policy leaves it out."
    return [PassedOver(device, Reason.DEVICE_FORBIDDEN, f"{_named(device, hardware)}: {sentence}") for device in found]


def _named(device: str, hardware: Hardware) -> str:
    accelerator = hardware.accelerator(device)
    return device if accelerator is None else f"{device} ({accelerator.name})"


def _no_library(offer: Offer) -> str:
    return (
        f"The build of {offer.runtime} on this box cannot drive it; it has {' and '.join(sorted(offer.libraries)) or 'nothing'}."
    )


def _ahead(
    lost: Sequence[Candidate], winner: Candidate, hardware: Hardware, policy: RoutingPolicy, request: SelectionRequest
) -> tuple[Candidate, ...]:
    """Those that would have come before the winner, if only they could be loaded."""
    rule = policy.rules[request.classification]
    found = []
    for candidate in lost:
        if candidate.reason not in NOT_LOADED:
            continue
        sound = _judge(replace(candidate.offer, crashed="", failed=None), hardware, policy, request)
        if sound.reason in WON and _rank(sound, policy, rule) < _rank(winner, policy, rule):
            found.append((_rank(sound, policy, rule), candidate))
    return tuple(candidate for _, candidate in sorted(found, key=lambda pair: pair[0]))


def _rank(candidate: Candidate, policy: RoutingPolicy, rule: Rule) -> tuple[Any, ...]:
    return (candidate.reason is not Reason.CANARY, *_preference(candidate, policy, rule))


def _preference(candidate: Candidate, policy: RoutingPolicy, rule: Rule) -> tuple[Any, ...]:
    offer = candidate.offer
    ranks = {
        "model": rule.model_rank(offer.name),
        "runtime": rule.runtimes.index(offer.runtime),
        "size": _SIZES.index(offer.size_class) if offer.size_class in _SIZES else len(_SIZES),
        "device": policy.devices.index(kind_of(candidate.device)) if candidate.device else len(policy.devices),
    }
    return (*(ranks[criterion] for criterion in policy.order), *_total_order(offer))


def _choice_denied(offers: Sequence[Offer], policy: RoutingPolicy, request: SelectionRequest) -> Selection:
    """Said of every offer alike, so that a choice tells nothing about which models there are."""
    sentence = "You may not choose the model yourself."
    lost = [Candidate(offer, Reason.CHOICE_FORBIDDEN, sentence) for offer in sorted(set(offers), key=_total_order)]
    return Selection(request.classification, tuple(lost), None, Refusal(CHOICE_DENIED, sentence, denied=True), policy.sha256)


def _choice_unloadable(
    ahead: Sequence[Candidate],
    able: Sequence[Candidate],
    lost: Sequence[Candidate],
    policy: RoutingPolicy,
    request: SelectionRequest,
) -> Selection:
    wanted = ahead[0].offer.model_id
    others = [
        replace(one, reason=Reason.NOT_CHOSEN, sentence=f"{wanted} was chosen by hand.", device="", library="") for one in able
    ]
    sentence = f"The model {wanted}, which was chosen by hand, could not be loaded. No other one answers in its place."
    code = LOAD_CRASHED if ahead[0].reason is Reason.LOAD_CRASHED else LOAD_FAILED
    refusal = Refusal(code, sentence, denied=False)
    return Selection(request.classification, (*lost, *others), None, refusal, policy.sha256)


def _refusal(lost: Sequence[Candidate], request: SelectionRequest) -> Refusal:
    reasons = {candidate.reason for candidate in lost}
    about = f"questions about {request.classification} documents"
    if Reason.LOAD_CRASHED in reasons:
        sentence = f"The language model for {about} crashed while it was loaded, and again, so it is not loaded again."
        return Refusal(LOAD_CRASHED, sentence, denied=False)
    if Reason.LOAD_FAILED in reasons:
        return Refusal(LOAD_FAILED, f"The language model for {about} could not be loaded.", denied=False)
    if reasons & OF_THE_BOX:
        sentence = f"No model that may answer {about} can run on this box at the moment."
        return Refusal(NO_PERMITTED_RUNTIME, sentence, denied=False)
    if reasons & OF_POLICY:
        return Refusal(NO_PERMITTED_RUNTIME, f"No model on this box is allowed to answer {about}.", denied=True)
    which = f"The model {request.chosen} is not in service." if request.chosen else f"No model is in service to answer {about}."
    return Refusal(NO_PERMITTED_RUNTIME, which, denied=False)


def _total_order(offer: Offer) -> tuple[Any, ...]:
    """Ids first; the rest only tells apart what should not have been offered twice."""
    return (*offer.key, repr(offer))

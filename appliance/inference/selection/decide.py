"""The decision. Pure: no clock, no disk, no chance; equal input gives equal output, in whatever order it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.inference.hardware.models import Hardware
from appliance.inference.selection.models import (
    CHOICE_DENIED,
    NO_PERMITTED_RUNTIME,
    OF_POLICY,
    OF_THE_BOX,
    WON,
    Candidate,
    Offer,
    Reason,
    Refusal,
    Selection,
    SelectionRequest,
)
from appliance.inference.selection.objections import Objection, of_box, of_device, of_policy, of_version
from appliance.inference.selection.policy import RoutingPolicy, Rule

_SIZES = ("medium", "small", "micro")  # a larger model answers better


def select(hardware: Hardware, offers: Sequence[Offer], policy: RoutingPolicy, request: SelectionRequest) -> Selection:
    """Which of `offers` answers, and why each other one does not.

    An offer must pass its version's state and the hand's choice, the policy, the box. Of those that pass, a canary whose
    share this conversation falls in goes first, then the policy's order decides. Where none passes there is a refusal.
    """
    if request.chosen and not request.roles & policy.choosers:
        return _choice_denied(offers, policy, request)
    judged = [_judge(offer, hardware, policy, request) for offer in sorted(set(offers), key=_total_order)]
    able = [candidate for candidate in judged if candidate.reason in WON]
    lost = [candidate for candidate in judged if candidate.reason not in WON]
    if not able:
        return Selection(request.classification, tuple(lost), None, _refusal(lost, request), policy.sha256)
    rule = policy.rules[request.classification]
    able.sort(key=lambda candidate: (candidate.reason is not Reason.CANARY, *_preference(candidate, policy, rule)))
    winner, *others = able
    sentence = f"It could answer, but {winner.offer.model_id} comes first."
    beaten = [Candidate(other.offer, Reason.LESS_PREFERRED, sentence, other.device) for other in others]
    return Selection(request.classification, (winner, *beaten, *lost), winner, None, policy.sha256)


def _judge(offer: Offer, hardware: Hardware, policy: RoutingPolicy, request: SelectionRequest) -> Candidate:
    for objections in (of_version(offer, request), of_policy(offer, policy, request), of_box(offer, request)):
        for reason, sentence in objections:
            return Candidate(offer, reason, sentence)
    device, objection = _place(offer, hardware, policy, request)
    if objection is not None:
        return Candidate(offer, *objection)
    if request.chosen:
        return Candidate(offer, Reason.BY_HAND, "It was chosen by hand.", device)
    if offer.state == "canary":
        return Candidate(offer, Reason.CANARY, "This conversation is in its share of trials.", device)
    return Candidate(offer, Reason.PREFERRED, "It comes first among those that may and can answer.", device)


def _place(offer: Offer, hardware: Hardware, policy: RoutingPolicy, request: SelectionRequest) -> tuple[str, Objection | None]:
    """The first device in the policy's order on which it fits; what runs elsewhere needs none of ours."""
    if offer.destination:
        return "", None
    listed = " or ".join(sorted(offer.devices)) or "nothing"
    objection: Objection = Reason.NO_DEVICE, f"It runs on {listed}, which this box lacks or the routing policy leaves out."
    for kind in policy.devices:
        for device in sorted(offer.devices):
            if device.partition(":")[0] != kind:
                continue
            found = next(of_device(device, offer, hardware, policy, request), None)
            if found is None:
                return device, None
            if found[0] is not Reason.NO_DEVICE:
                objection = found
    return "", objection


def _preference(candidate: Candidate, policy: RoutingPolicy, rule: Rule) -> tuple[Any, ...]:
    offer, kind = candidate.offer, candidate.device.partition(":")[0]
    ranks = {
        "model": rule.model_rank(offer.name),
        "runtime": rule.runtimes.index(offer.runtime),
        "size": _SIZES.index(offer.size_class) if offer.size_class in _SIZES else len(_SIZES),
        "device": policy.devices.index(kind) if kind in policy.devices else len(policy.devices),
    }
    return (*(ranks[criterion] for criterion in policy.order), *_total_order(offer))


def _choice_denied(offers: Sequence[Offer], policy: RoutingPolicy, request: SelectionRequest) -> Selection:
    """Said of every offer alike, so that a choice tells nothing about which models there are."""
    sentence = "You may not choose the model yourself."
    lost = [Candidate(offer, Reason.CHOICE_FORBIDDEN, sentence) for offer in sorted(set(offers), key=_total_order)]
    return Selection(request.classification, tuple(lost), None, Refusal(CHOICE_DENIED, sentence, denied=True), policy.sha256)


def _refusal(lost: Sequence[Candidate], request: SelectionRequest) -> Refusal:
    reasons = {candidate.reason for candidate in lost}
    about = f"questions about {request.classification} documents"
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

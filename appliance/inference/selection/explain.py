"""What would answer on this box, for each classification: for administrators and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from appliance.inference.hardware.models import Hardware
from appliance.inference.placement import LoadedRuntime
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import Candidate, Offer, Selection, SelectionRequest
from appliance.inference.selection.policy import RoutingPolicy


@dataclass(frozen=True, slots=True)
class Explanation:
    """The box, what it offers, the policy, and one decision for each classification asked about; what is loaded, where asked."""

    hardware: Hardware
    offers: tuple[Offer, ...]
    policy: RoutingPolicy
    request: SelectionRequest
    selections: tuple[Selection, ...]
    loaded: tuple[LoadedRuntime, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "hardware": self.hardware.as_document(),
            "offers": [asdict(offer) for offer in self.offers],
            "policy": policy_document(self.policy),
            "request": {
                "roles": sorted(self.request.roles),
                "conversation": self.request.conversation_id,
                "chosen": self.request.chosen,
                "context_tokens": self.request.context_tokens,
                "seal": str(self.request.seal),
            },
            "selections": [selection_document(selection) for selection in self.selections],
        }


def explain(
    hardware: Hardware,
    offers: Sequence[Offer],
    policy: RoutingPolicy,
    request: SelectionRequest,
    classifications: Sequence[str] = (),
) -> Explanation:
    """Decide for each of `classifications`, all of the policy's where none is given; `request.classification` is not used."""
    asked = [replace(request, classification=name) for name in classifications or policy.classifications]
    decided = tuple(select(hardware, offers, policy, each) for each in asked)
    return Explanation(hardware, tuple(offers), policy, request, decided)


def policy_document(policy: RoutingPolicy) -> dict[str, Any]:
    """The policy as JSON; sets as sorted lists."""
    values = asdict(policy)
    return {**values, "choosers": sorted(policy.choosers)}


def selection_document(selection: Selection) -> dict[str, Any]:
    """The decision with every candidate and its sentence."""
    return {
        "classification": selection.classification,
        "winner": None if selection.winner is None else _candidate(selection.winner),
        "refusal": None if selection.refusal is None else asdict(selection.refusal),
        "instead_of": [_candidate(candidate) for candidate in selection.instead_of],
        "candidates": [_candidate(candidate) for candidate in selection.candidates],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    offer = candidate.offer
    return {
        "model": offer.model_id,
        "runtime": offer.runtime,
        "destination": offer.destination,
        "state": offer.state,
        "device": candidate.device,
        "library": candidate.library,
        "passed_over": [asdict(one) for one in candidate.passed_over],
        "reason": str(candidate.reason),
        "sentence": candidate.sentence,
    }

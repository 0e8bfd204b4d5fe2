"""What speaks against an offer, most fundamental first: its version, the policy, the box. Nothing yielded: it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypeAlias

from appliance.inference.devices import unknown_libraries
from appliance.inference.hardware.models import Hardware
from appliance.inference.selection.models import Offer, Reason, SelectionRequest
from appliance.inference.selection.policy import RoutingPolicy

Objection: TypeAlias = tuple[Reason, str]

_SHARES = 10_000


def of_version(offer: Offer, request: SelectionRequest) -> Iterator[Objection]:
    """A hand's choice may take versions on trial; nothing takes a retired one, or one in a state that is not known."""
    if offer.kind != "language":
        yield Reason.WRONG_KIND, "It writes no answers."
    if offer.state == "retired":
        yield Reason.RETIRED, "This version is retired."
    if offer.state not in {"candidate", "canary", "active", "retired"}:
        yield Reason.UNKNOWN_STATE, f"Nothing is known of the state {offer.state}."
    if request.chosen:
        if request.chosen not in {offer.model_id, offer.name}:
            yield Reason.NOT_CHOSEN, f"{request.chosen} was chosen by hand."
    elif offer.state == "candidate":
        yield Reason.CANDIDATE, "This version has not been activated yet."
    elif offer.state == "canary" and not _on_trial_here(offer, request):
        yield Reason.CANARY_ELSEWHERE, "This version is on trial with other conversations."


def of_policy(offer: Offer, policy: RoutingPolicy, request: SelectionRequest) -> Iterator[Objection]:
    """What is not allowed in so many words is forbidden."""
    rule = policy.rules.get(request.classification)
    if rule is None:
        yield Reason.CLASSIFICATION_UNKNOWN, f"The routing policy does not know the classification {request.classification}."
        return
    about = f"for {request.classification} documents"
    if offer.runtime not in rule.runtimes:
        yield Reason.RUNTIME_FORBIDDEN, f"The runtime {offer.runtime} is not allowed {about}."
    if rule.model_rank(offer.name) is None:
        yield Reason.MODEL_FORBIDDEN, f"The model {offer.name} is not allowed {about}."
    if offer.destination and offer.destination not in rule.destinations:
        sentence = f"It runs at {offer.destination}, where {request.classification} documents may not go."
        yield Reason.DESTINATION_FORBIDDEN, sentence
    if offer.state in {"candidate", "canary"} and not rule.canary:
        yield Reason.CANARY_FORBIDDEN, f"Versions on trial are not allowed {about}."
    if not request.seal.meets(rule.seal):
        yield Reason.SEAL_MISSING, f"The seal {rule.seal} is required {about}; this box has {request.seal}."


def of_box(offer: Offer, request: SelectionRequest) -> Iterator[Objection]:
    """Of this box, whatever the device."""
    if unknown := unknown_libraries(offer.libraries):
        yield Reason.UNUSABLE, f"Its runtime computes through {' and '.join(unknown)}, of which nothing is known here."
    if offer.unusable:
        yield Reason.UNUSABLE, offer.unusable
    if offer.crashed:
        yield Reason.LOAD_CRASHED, offer.crashed
    if offer.failed:
        yield Reason.LOAD_FAILED, f"It could not be loaded: {offer.failed.sentence}"
    if offer.context_tokens < request.context_tokens:
        sentence = f"The question with its passages needs {request.context_tokens} tokens; it can hold {offer.context_tokens}."
        yield Reason.CONTEXT_SHORT, sentence
    if not offer.destination and offer.memory_mb <= 0:
        yield Reason.MEMORY_UNKNOWN, "How much memory it takes is not known."


def of_device(
    device: str, offer: Offer, hardware: Hardware, policy: RoutingPolicy, request: SelectionRequest
) -> Iterator[Objection]:
    """Against running it on this one device of the box; a model that is loaded already has taken its memory."""
    accelerator = hardware.accelerator(device)
    if accelerator is None or accelerator.shares_memory:
        where, headroom = "this box", policy.memory_headroom_mb
        total, free = hardware.memory_total_mb, hardware.memory_available_mb
    else:
        where, headroom = accelerator.device, policy.device_headroom_mb
        total, free = accelerator.memory_total_mb, accelerator.memory_free_mb
    room = total if offer.model_id in request.loaded else min(total, free)
    if total <= 0:
        yield Reason.MEMORY_UNKNOWN, f"How much memory {where} has could not be found out."
    elif offer.memory_mb + headroom > room:
        sentence = f"It takes {offer.memory_mb:,} MB and {headroom:,} MB must stay free; {where} has {room:,} MB."
        yield Reason.MEMORY_SHORT, sentence


def in_canary_share(offer: Offer, conversation_id: str) -> bool:
    """Whether this conversation is among the `canary_percent` that the canary answers.

    Each version draws its own share, and a conversation that was in it stays in it when the share grows.
    """
    if not conversation_id:
        return False
    drawn = hashlib.blake2b(f"{offer.model_id}\n{conversation_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) % _SHARES < offer.canary_percent * (_SHARES // 100)


def _on_trial_here(offer: Offer, request: SelectionRequest) -> bool:
    in_group = bool(offer.canary_group) and offer.canary_group in request.groups
    return in_group or in_canary_share(offer, request.conversation_id)

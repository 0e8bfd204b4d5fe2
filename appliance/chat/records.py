"""What the audit log says about an answer: ids, sizes, counts and digests, never words. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.chat.claims import Claim, Ending
from appliance.chat.models import MessageStatus
from appliance.identity.models import SYSTEM, Principal
from appliance.inference.models import Model
from appliance.inference.selection.records import SelectionRecord
from appliance.retrieval.models import Hit

_NAMES = {
    MessageStatus.DONE: EventName.ANSWER_RELEASED,
    MessageStatus.STOPPED: EventName.ANSWER_STOPPED,
    MessageStatus.FAILED: EventName.ANSWER_FAILED,
}


def answer_started(
    claim: Claim, principal: Principal, passages: Sequence[Hit], model: Model, selection: SelectionRecord | None
) -> AuditEvent:
    """The passages read on a person's behalf, and by which model; durable before the first word made from them is shown."""
    return AuditEvent(
        name=EventName.ANSWER_STARTED,
        principal=SYSTEM,
        on_behalf_of=principal,
        resources=_resources(claim, passages),
        correlation_id=claim.message_id,
        facts={
            "attempt": claim.attempt,
            "passages": len(passages),
            "model_sha256": model.sha256,
            **({} if selection is None else _routing(selection)),
        },
    )


def answer_ended(claim: Claim, principal: Principal | None, ending: Ending, model: Model | None) -> AuditEvent:
    """How the work on an answer ended and what was released."""
    facts: dict[str, str | int] = {
        "attempt": claim.attempt,
        "passages_found": ending.passages_found,
        "passages_used": len(ending.passages),
        "citations": len(ending.spans),
        "prompt_tokens": ending.prompt_tokens,
        "cached_tokens": ending.cached_tokens,
        "completion_tokens": ending.completion_tokens,
        "answer_bytes": len(ending.text.encode()),
        "answer_sha256": hashlib.sha256(ending.text.encode()).hexdigest(),
        "finish_reason": ending.finish_reason or "",
    }
    if ending.nearest:
        facts["nearest"] = len(ending.nearest)
    if model is not None:
        facts["model_sha256"] = model.sha256
    if ending.selection is not None:
        facts |= _routing(ending.selection)
    if ending.reason_code:
        facts["reason_code"] = ending.reason_code
    return AuditEvent(
        name=_NAMES[ending.status],
        principal=SYSTEM,
        on_behalf_of=principal,
        resources=_resources(claim, (*ending.passages, *ending.nearest)),
        outcome=Outcome.FAILURE if ending.status is MessageStatus.FAILED else Outcome.SUCCESS,
        correlation_id=claim.message_id,
        facts=facts,
    )


def _routing(selection: SelectionRecord) -> dict[str, str]:
    facts = {
        "classification": selection.classification,
        "runtime": selection.runtime,
        "device": selection.device,
        "device_used": selection.used,
        "destination": selection.destination,
        "routing_reason": selection.reason or selection.refusal,
        "routing_policy": selection.policy,
    }
    return {name: value for name, value in facts.items() if value}


def _resources(claim: Claim, passages: Sequence[Hit]) -> tuple[ResourceRef, ...]:
    documents = dict.fromkeys(hit.document_id for hit in passages)
    own: tuple[ResourceRef, ...] = (ResourceRef("conversation", claim.conversation_id), ResourceRef("message", claim.message_id))
    if claim.run_id:
        own = (ResourceRef("golden_run", claim.run_id),)
    return (*own, *(ResourceRef("document", document_id) for document_id in documents))

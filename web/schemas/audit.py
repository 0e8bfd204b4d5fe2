"""The audit log, as compliance officers read it."""

from __future__ import annotations

import msgspec

from appliance.administration.answer_records import AnswerRecord
from appliance.audit.store import AuditRecord


class ResourceOut(msgspec.Struct):
    kind: str
    id: str


class AuditRecordOut(msgspec.Struct):
    """`body` is the canonical leaf as text, byte for byte what was hashed into `leaf_hash` (hexadecimal)."""

    seq: int
    time_ms: int
    event: str
    person: str
    on_behalf_of: str | None
    outcome: str
    resources: list[ResourceOut]
    sealed_fields: list[str]
    leaf_hash: str
    body: str

    @classmethod
    def of(cls, record: AuditRecord) -> AuditRecordOut:
        return cls(
            seq=record.seq,
            time_ms=record.time_ms,
            event=record.event,
            person=record.actor_name or record.actor_pseudonym,
            on_behalf_of=record.on_behalf_of_name or record.on_behalf_of,
            outcome=record.outcome,
            resources=[ResourceOut(ref.kind, ref.id) for ref in record.resources],
            sealed_fields=list(record.sealed_fields),
            leaf_hash=record.leaf_hash.hex(),
            body=record.body.decode(),
        )


class SelectionOut(msgspec.Struct):
    """Why this model answered; `lost` and `passed_over` map other candidates and faster devices to the codes of the reasons.

    `instead_of` maps those that would have answered but could not be loaded to the codes of their failures. `device` was chosen;
    `used` is where the runtime said that it computes, empty where it did not say.
    """

    classification: str
    model: str
    runtime: str
    device: str
    library: str
    destination: str
    reason: str
    refusal: str
    lost: dict[str, str]
    passed_over: dict[str, str]
    policy: str
    used: str = ""
    instead_of: dict[str, str] = {}


class AnswerRecordOut(msgspec.Struct):
    """How one answer came about, without a word of it; `timing` is milliseconds per step."""

    message_id: str
    conversation_id: str
    status: str
    reason_code: str | None
    created_ms: int
    finished_ms: int | None
    model: str | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    timing: dict[str, float]
    selection: SelectionOut | None

    @classmethod
    def of(cls, record: AnswerRecord) -> AnswerRecordOut:
        return msgspec.convert(record, cls, from_attributes=True)


class AuditPage(msgspec.Struct):
    """Newest first; `more` says that older records match."""

    records: list[AuditRecordOut]
    more: bool

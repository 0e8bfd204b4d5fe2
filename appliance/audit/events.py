"""The inventory of audit events.

Grammar: `<noun>.<past participle>`; a name is never reused and never deleted, only marked as retired here, so that
old entries stay readable. Where each stands in OCSF says classes.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from appliance.identity.models import Principal


class EventName(StrEnum):
    """What happened, alphabetised."""

    ACCESS_DENIED = "access.denied"
    ANSWER_FAILED = "answer.failed"
    ANSWER_RELEASED = "answer.released"
    ANSWER_STARTED = "answer.started"
    ANSWER_STOPPED = "answer.stopped"
    APPLIANCE_STARTED = "appliance.started"
    APPLIANCE_STOPPED = "appliance.stopped"
    AUDIT_DISCLOSED = "audit.disclosed"
    AUDIT_ERASED = "audit.erased"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_READ = "audit.read"
    BACKUP_MADE = "backup.made"
    BACKUP_RESTORED = "backup.restored"
    BOX_READ = "box.read"
    CHECKPOINT_SIGNED = "checkpoint.signed"
    COLLECTION_CREATED = "collection.created"
    COLLECTION_DELETED = "collection.deleted"
    COLLECTION_LISTED = "collection.listed"
    COLLECTION_UPDATED = "collection.updated"
    COLLECTOR_BEGUN = "collector.begun"
    COLLECTOR_FAILED = "collector.failed"
    COLLECTOR_RECOVERED = "collector.recovered"
    CONVERSATION_CREATED = "conversation.created"
    CONVERSATION_DELETED = "conversation.deleted"
    CONVERSATION_LISTED = "conversation.listed"
    CONVERSATION_READ = "conversation.read"
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_FAILED = "document.failed"
    DOCUMENT_INGESTED = "document.ingested"
    DOCUMENT_LISTED = "document.listed"
    DOCUMENT_READ = "document.read"
    DOCUMENT_UPLOADED = "document.uploaded"
    DRIFT_BEGUN = "drift.begun"
    DRIFT_ENDED = "drift.ended"
    EGRESS_CALLED = "egress.called"
    EGRESS_METERED = "egress.metered"
    EGRESS_OPENED = "egress.opened"
    EGRESS_PROVEN = "egress.proven"
    EGRESS_READ = "egress.read"
    EGRESS_REFUSED = "egress.refused"
    EMBEDDING_ABANDONED = "embedding.abandoned"
    EMBEDDING_BEGUN = "embedding.begun"
    EMBEDDING_COMPARED = "embedding.compared"
    EMBEDDING_COMPLETED = "embedding.completed"
    FACTOR_BEGUN = "factor.begun"
    FACTOR_CREATED = "factor.created"
    FACTOR_DELETED = "factor.deleted"
    FACTOR_REMOVED = "factor.removed"
    FACTOR_RENEWED = "factor.renewed"
    FEEDBACK_GIVEN = "feedback.given"
    FEEDBACK_LISTED = "feedback.listed"
    FEEDBACK_WITHDRAWN = "feedback.withdrawn"
    GOLDEN_ACCEPTED = "golden.accepted"
    GOLDEN_CREATED = "golden.created"
    GOLDEN_DELETED = "golden.deleted"
    GOLDEN_FINISHED = "golden.finished"
    GOLDEN_OVERRIDDEN = "golden.overridden"
    GOLDEN_READ = "golden.read"
    GOLDEN_STARTED = "golden.started"
    GOLDEN_STOPPED = "golden.stopped"
    GOLDEN_UPDATED = "golden.updated"
    GROUP_CREATED = "group.created"
    GROUP_DELETED = "group.deleted"
    GROUP_LISTED = "group.listed"
    GROUP_RENAMED = "group.renamed"
    HOLD_LIFTED = "hold.lifted"
    HOLD_LISTED = "hold.listed"
    HOLD_PLACED = "hold.placed"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    KEY_CREATED = "key.created"
    KEY_ENDED = "key.ended"
    KEY_REFUSED = "key.refused"
    MEMBER_ADDED = "member.added"
    MEMBER_REMOVED = "member.removed"
    MIGRATION_APPLIED = "migration.applied"
    MODEL_ACTIVATED = "model.activated"
    MODEL_CRASHED = "model.crashed"
    MODEL_DELETED = "model.deleted"
    MODEL_IMPORTED = "model.imported"
    MODEL_LISTED = "model.listed"
    MODEL_MEASURED = "model.measured"
    MODEL_MISPLACED = "model.misplaced"
    MODEL_RECOVERED = "model.recovered"
    MODEL_RESTORED = "model.restored"
    MODEL_RETIRED = "model.retired"
    MODEL_RETRIED = "model.retried"
    MODEL_SKIPPED = "model.skipped"
    MODEL_TRIALLED = "model.trialled"
    MODEL_VERIFIED = "model.verified"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - a name, not a secret
    PERSON_CREATED = "person.created"
    PERSON_DELETED = "person.deleted"
    PERSON_LISTED = "person.listed"
    PERSON_UPDATED = "person.updated"
    QUALITY_READ = "quality.read"
    QUESTION_ASKED = "question.asked"
    RETENTION_CHANGED = "retention.changed"
    RETENTION_READ = "retention.read"
    SEAL_CHECKED = "seal.checked"
    SESSION_CREATED = "session.created"
    SESSION_DELETED = "session.deleted"
    SESSION_REFUSED = "session.refused"
    SIGNER_DISTRUSTED = "signer.distrusted"
    SIGNER_TRUSTED = "signer.trusted"
    STOP_REQUESTED = "stop.requested"


class Outcome(StrEnum):
    """How the act ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class ResourceRef(NamedTuple):
    """A thing the event is about: `("document", id)`, `("collection", id)`, `("conversation", id)`, ..."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One act, as handed to `AuditLog.append`.

    `facts` holds ids, sizes, counts and digests only. Anything a person wrote or is called goes into `sealed`: the leaf
    keeps a salted digest of it, the value itself lies encrypted beside and can be erased.
    """

    name: EventName
    principal: Principal
    resources: tuple[ResourceRef, ...] = ()
    outcome: Outcome = Outcome.SUCCESS
    on_behalf_of: Principal | None = None
    correlation_id: str = ""
    facts: Mapping[str, str | int] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    sealed_subject: str = ""
    """Pseudonym of the person the sealed values are about, where that is not the one who acts."""

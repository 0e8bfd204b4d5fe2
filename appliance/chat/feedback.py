"""What a person says about an answer: a thumb, and if they like a kind, a comment, and the leave to show question and answer.

An answer belongs to one person, so there is one row for both. A new judgement replaces the old one whole, the leave included.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.chat import store
from appliance.chat.models import Conversation, Feedback, MessageStatus
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.language.seen import seen
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import conversation as conversation_resource
from appliance.storage.clock import now_ms
from appliance.storage.database import Database
from appliance.storage.tables import feedback, messages

COMMENT_CHARACTERS = 500
_JUDGED = {MessageStatus.DONE, MessageStatus.STOPPED}


class FeedbackService:
    """Judging one's own answers. Whoever asks about another person's hears what they would hear about one that is not there."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def give(self, principal: Principal, message_id: str, given: Feedback) -> Feedback:
        """Store the judgement in place of an earlier one; as it was stored.

        Raises `NotFound`, `InvalidInput` for a question (`feedback.question`) and a comment that is too long
        (`feedback.comment`), `Conflict` for an answer that is not there yet or never came (`feedback.unfinished`).
        """
        conversation = self._require(principal, message_id)
        comment = seen(given.comment).strip()
        if len(comment) > COMMENT_CHARACTERS:
            raise InvalidInput(
                f"A comment has room for {COMMENT_CHARACTERS} characters.", code="feedback.comment", limit=COMMENT_CHARACTERS
            )
        stored = Feedback(given.helpful, given.kind, comment, given.shared)
        with self._database.write() as connection:
            _check_answer(connection, message_id)
            _store(connection, message_id, stored)
            self._audit.append(connection, _given(principal, conversation, message_id, stored))
        return stored

    def withdraw(self, principal: Principal, message_id: str) -> None:
        """Take back the thumb and all that was said with it; where nothing was said, nothing happens, and that is recorded."""
        conversation = self._require(principal, message_id)
        with self._database.write() as connection:
            gone = connection.execute(delete(feedback).where(feedback.c.message_id == message_id)).rowcount
            event = AuditEvent(
                EventName.FEEDBACK_WITHDRAWN, principal, resources=_about(conversation, message_id), facts={"withdrawn": gone}
            )
            self._audit.append(connection, event)

    def _require(self, principal: Principal, message_id: str) -> Conversation:
        with self._database.read() as connection:
            found = store.conversation_of(connection, message_id)
        resource = None if found is None else conversation_resource(found.id, found.principal_id)
        self._access.require(principal, Action.FEEDBACK_GIVE, resource)
        assert found is not None
        return found


def _check_answer(connection: Connection, message_id: str) -> None:
    row = connection.execute(select(messages.c.role, messages.c.status).where(messages.c.id == message_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such thing here.")
    if row.role != "assistant":
        raise InvalidInput("This is a question; only answers are judged.", code="feedback.question")
    if MessageStatus(row.status) not in _JUDGED:
        raise Conflict("There is no answer yet that could be judged.", code="feedback.unfinished")


def _store(connection: Connection, message_id: str, given: Feedback) -> None:
    now = now_ms()
    values = {"kind": given.kind, "comment": given.comment, "shared": given.shared, "changed_ms": now}
    mine = feedback.c.message_id == message_id
    before = connection.execute(select(feedback.c.helpful).where(mine)).scalar()
    if before is None:
        connection.execute(insert(feedback).values(message_id=message_id, helpful=given.helpful, given_ms=now, **values))
    elif before == given.helpful:
        connection.execute(update(feedback).where(mine).values(values))
    else:
        connection.execute(update(feedback).where(mine).values(helpful=given.helpful, given_ms=now, **values))


def _given(principal: Principal, conversation: Conversation, message_id: str, given: Feedback) -> AuditEvent:
    return AuditEvent(
        EventName.FEEDBACK_GIVEN,
        principal,
        resources=_about(conversation, message_id),
        correlation_id=message_id,
        facts={
            "rating": "helpful" if given.helpful else "unhelpful",
            "kind": str(given.kind) or "none",
            "shared": "yes" if given.shared else "no",
        },
        sealed={"comment": given.comment} if given.comment else {},
    )


def _about(conversation: Conversation, message_id: str) -> tuple[ResourceRef, ...]:
    return (ResourceRef("conversation", conversation.id), ResourceRef("message", message_id))

"""How the model of one answer was chosen, for those who may read the log: ids, codes and figures, never a word of anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import NotFound
from appliance.identity.models import Principal
from appliance.inference.selection.records import SelectionRecord, read_record
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import AUDIT_LOG
from appliance.storage.database import Database
from appliance.storage.tables import conversations, messages, principals


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """`timing` is milliseconds per step; `selection` is None where no model was asked, or newer code wrote it."""

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
    timing: Mapping[str, float]
    selection: SelectionRecord | None


class AnswerRecords:
    """Looking is an act like any other and stands in the log itself."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def record(self, principal: Principal, message_id: str) -> AnswerRecord:
        """Raises `Denied` where policy refuses, `NotFound` (`audit.no_answer`) for what is no answer, or was deleted."""
        self._access.require(principal, Action.AUDIT_READ, AUDIT_LOG)
        with self._database.write() as connection:
            found = select(messages).select_from(messages.join(conversations).join(principals))
            there = (messages.c.id == message_id, messages.c.role == "assistant", principals.c.deleted_ms.is_(None))
            row = connection.execute(found.where(*there)).one_or_none()
            event = AuditEvent(
                EventName.AUDIT_READ,
                principal,
                resources=() if row is None else (ResourceRef("message", row.id),),  # what was typed may be any text
                outcome=Outcome.FAILURE if row is None else Outcome.SUCCESS,
                facts={"shown": "selection"},
            )
            self._audit.append(connection, event)
        if row is None:
            raise NotFound("There is no such answer, or its conversation was deleted.", code="audit.no_answer")
        return _record(row)


def _record(row: Row[Any]) -> AnswerRecord:
    return AnswerRecord(
        message_id=row.id,
        conversation_id=row.conversation_id,
        status=row.status,
        reason_code=row.reason_code,
        created_ms=row.created_ms,
        finished_ms=row.finished_ms,
        model=row.model,
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        timing=json.loads(row.timing),
        selection=read_record(row.selection),
    )

"""What people say about answers, as administrators see it: counts, kinds and comments, by day and without names.

A question is shown with it only where its person allowed that. The answer, which is made of documents, is then shown to an
administrator who may read all of them, and to no other: nobody can lend the right to read a document. Each pair that is shown
stands in the audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.chat.models import FeedbackKind
from appliance.errors import InvalidInput
from appliance.identity.models import Principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.quality.models import DAY_MS
from appliance.storage.database import Database
from appliance.storage.tables import documents, feedback, message_passages, messages

PAGE = 40
"""Entries of a page; an audit leaf has room for as many ids."""

_LAST_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class SharedExchange:
    """A question and its answer that their person showed to the administrators: they may become part of a golden set.

    `answer` is None where the reader may not read all that it rests on; `collection_ids` are those it was taken from.
    """

    message_id: str
    question: str
    answer: str | None
    collection_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """One judgement. `day_ms` is the day alone: at what minute somebody wrote tells who it was."""

    day_ms: int
    helpful: bool
    kind: FeedbackKind
    comment: str
    shown: SharedExchange | None


@dataclass(frozen=True, slots=True)
class Voices:
    """Counts over all judgements there are; `page` holds those with something beside the thumb, newest first."""

    helpful: int
    unhelpful: int
    kinds: Mapping[FeedbackKind, int]
    page: list[Voice]
    more: bool


class VoicesReview:
    """Reading what people said."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def read(self, principal: Principal, page: int = 1) -> Voices:
        """Raises `InvalidInput` (`feedback.page`) for a page that cannot be."""
        self._access.require(principal, Action.FEEDBACK_LIST, APPLIANCE)
        if not 1 <= page <= _LAST_PAGE:
            raise InvalidInput("There is no such page.", code="feedback.page")
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        # recorded in the transaction that reads, so that nothing is shown that was shared a moment after
        with self._database.write() as connection:
            found = _said(connection, page)
            shown = [_voice(connection, row, readable) for row in found[:PAGE]]
            seen = [voice.shown.message_id for voice in shown if voice.shown is not None]
            resources = tuple(ResourceRef("message", message_id) for message_id in seen)
            facts = {"page": page, "shown": len(shown), "shared": len(seen)}
            self._audit.append(connection, AuditEvent(EventName.FEEDBACK_LISTED, principal, resources=resources, facts=facts))
            helpful, kinds = _counts(connection)
        return Voices(helpful[True], helpful[False], kinds, shown, len(found) > PAGE)

    def exchange(self, principal: Principal, message_id: str) -> SharedExchange:
        """What may go into a golden set; whoever puts it there records that. Raises `NotFound` for what nobody shows any more."""
        self._access.require(principal, Action.FEEDBACK_LIST, APPLIANCE)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.read() as connection:
            row = connection.execute(_ROWS.where(feedback.c.message_id == message_id, feedback.c.shared)).one_or_none()
            found = None if row is None else _exchange(connection, row, readable)
        if found is None:
            self._access.require(principal, Action.FEEDBACK_LIST, None)  # recorded; the same for all that is not shown
        assert found is not None
        return found


_question = messages.alias("question")
_ROWS = (
    select(feedback, messages.c.text.label("answer"), _question.c.text.label("question"))
    .join(messages, messages.c.id == feedback.c.message_id)
    .join(
        _question,
        and_(_question.c.conversation_id == messages.c.conversation_id, _question.c.ordinal == messages.c.ordinal - 1),
    )
)


def _said(connection: Connection, page: int) -> list[Row[Any]]:
    """One more than fits on the page, where there is one."""
    beside = or_(feedback.c.kind != FeedbackKind.NONE, feedback.c.comment != "", feedback.c.shared)
    ordered = _ROWS.where(beside).order_by(feedback.c.changed_ms.desc(), feedback.c.message_id)
    return list(connection.execute(ordered.limit(PAGE + 1).offset((page - 1) * PAGE)))


def _voice(connection: Connection, row: Row[Any], readable: Collection[str]) -> Voice:
    shown = _exchange(connection, row, readable) if row.shared else None
    return Voice(row.changed_ms // DAY_MS * DAY_MS, row.helpful, FeedbackKind(row.kind), row.comment, shown)


def _exchange(connection: Connection, row: Row[Any], readable: Collection[str]) -> SharedExchange:
    rests_on = (
        select(documents.c.collection_id)
        .distinct()
        .select_from(message_passages)
        .outerjoin(documents, documents.c.id == message_passages.c.document_id)
        .where(message_passages.c.message_id == row.message_id)
    )
    found = set(connection.execute(rests_on).scalars())  # None for a document that was deleted: nobody may read it
    open_to_reader = found <= set(readable)
    named = tuple(sorted(found & set(readable)))
    return SharedExchange(row.message_id, row.question, row.answer if open_to_reader else None, named)


def _counts(connection: Connection) -> tuple[dict[bool, int], dict[FeedbackKind, int]]:
    both = (feedback.c.helpful, feedback.c.kind)
    helpful, kinds = {True: 0, False: 0}, dict.fromkeys(FeedbackKind, 0)
    for thumb, kind, count in connection.execute(select(*both, func.count()).group_by(*both)):
        helpful[thumb] += count
        kinds[FeedbackKind(kind)] += count
    return helpful, {kind: count for kind, count in kinds.items() if kind is not FeedbackKind.NONE}

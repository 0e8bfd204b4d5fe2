"""Conversations, messages and citations as rows: the side people read and write."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, literal, select, tuple_, update

from appliance.chat.models import Citation, Conversation, Feedback, FeedbackKind, Message, MessageStatus, Nearest
from appliance.inference.selection.records import read_record
from appliance.storage.clock import now_ms
from appliance.storage.tables import (
    citations,
    conversations,
    documents,
    feedback,
    message_nearest,
    message_passages,
    messages,
    pages,
)

UNTITLED = "New conversation"
_TITLE_CHARACTERS = 80
_NEAREST_CHARACTERS = 400


def title_from(question: str) -> str:
    """The first question on one line, cut at a word where it is long."""
    line = " ".join(question.split())
    if len(line) <= _TITLE_CHARACTERS:
        return line
    head = line[: _TITLE_CHARACTERS - 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head) + "…"


def insert_conversation(
    connection: Connection, principal_id: str, collection_id: str | None, chosen_model: str = ""
) -> Conversation:
    moment = now_ms()
    conversation = Conversation(secrets.token_hex(16), principal_id, UNTITLED, collection_id, moment, moment, chosen_model)
    connection.execute(insert(conversations).values(asdict(conversation)))
    return conversation


def load_conversation(connection: Connection, conversation_id: str) -> Conversation | None:
    row = connection.execute(select(conversations).where(conversations.c.id == conversation_id)).one_or_none()
    return None if row is None else _conversation(row)


def list_conversations(
    connection: Connection, principal_id: str, *, before: tuple[int, str] | None = None, limit: int | None = None
) -> list[Conversation]:
    """Newest first, at most `limit`; those that come after the one of this time and id where `before` is given."""
    statement = select(conversations).where(conversations.c.principal_id == principal_id)
    if before is not None:
        statement = statement.where(tuple_(conversations.c.updated_ms, conversations.c.id) < tuple_(*map(literal, before)))
    ordered = statement.order_by(conversations.c.updated_ms.desc(), conversations.c.id.desc()).limit(limit)
    return [_conversation(row) for row in connection.execute(ordered)]


def delete_conversation(connection: Connection, conversation_id: str) -> bool:
    """The conversation with its messages, passages and citations (foreign keys cascade); False where it was gone already."""
    return connection.execute(delete(conversations).where(conversations.c.id == conversation_id)).rowcount == 1


def unanswered_of(connection: Connection, principal_id: str) -> int:
    """How many answers this person still waits for, in all their conversations."""
    waiting = messages.c.status.in_([status for status in MessageStatus if not status.finished])
    joined = select(func.count()).select_from(messages).join(conversations, conversations.c.id == messages.c.conversation_id)
    return connection.execute(joined.where(conversations.c.principal_id == principal_id, waiting)).scalar_one()


def unanswered(connection: Connection) -> int:
    """How many answers are waited for on the whole box, those that are being written included."""
    waiting = messages.c.status.in_([status for status in MessageStatus if not status.finished])
    return connection.execute(select(func.count()).select_from(messages).where(waiting)).scalar_one()


def insert_exchange(connection: Connection, conversation: Conversation, question: str, key_id: str = "") -> tuple[str, str]:
    """A question and its PENDING answer; gives the ids of both. The first question names the conversation.

    `key_id` is of the API key by which it was asked.
    """
    moment = now_ms()
    highest = connection.execute(
        select(func.max(messages.c.ordinal)).where(messages.c.conversation_id == conversation.id)
    ).scalar()
    first = 1 if highest is None else highest + 1
    question_id, answer_id = secrets.token_hex(16), secrets.token_hex(16)
    shared = {"conversation_id": conversation.id, "created_ms": moment, "key_id": key_id}
    asked = {"id": question_id, "ordinal": first, "role": "user", "text": question, "status": MessageStatus.DONE}
    pending = {"id": answer_id, "ordinal": first + 1, "role": "assistant", "text": "", "status": MessageStatus.PENDING}
    connection.execute(insert(messages), [shared | asked | {"finished_ms": moment}, shared | pending | {"finished_ms": None}])
    changes: dict[str, Any] = {"updated_ms": moment}
    if highest is None:
        changes["title"] = title_from(question)
    connection.execute(update(conversations).where(conversations.c.id == conversation.id).values(changes))
    return question_id, answer_id


def load_messages(
    connection: Connection,
    conversation_id: str,
    readable: Collection[str],
    *,
    before: ColumnElement[int] | int | None = None,
    latest: int | None = None,
) -> list[Message]:
    """Messages in order, all or the `latest`, of those with an ordinal below `before` where it is given.

    Cited text appears only from collections in `readable`: rights may have changed since.
    """
    statement = select(messages).where(messages.c.conversation_id == conversation_id)
    if before is not None:
        statement = statement.where(messages.c.ordinal < before)
    rows = connection.execute(statement.order_by(messages.c.ordinal.desc()).limit(latest)).all()[::-1]
    ids = [row.id for row in rows]
    cited, judged, near = _citations(connection, ids, readable), _feedback(connection, ids), _nearest(connection, ids, readable)
    return [_message(row, cited.get(row.id, ()), judged.get(row.id), near.get(row.id, ())) for row in rows]


def load_message(connection: Connection, message_id: str, readable: Collection[str]) -> Message | None:
    """One message; `readable` as in `load_messages`."""
    row = connection.execute(select(messages).where(messages.c.id == message_id)).one_or_none()
    if row is None:
        return None
    cited, judged = _citations(connection, [message_id], readable), _feedback(connection, [message_id])
    near = _nearest(connection, [message_id], readable)
    return _message(row, cited.get(message_id, ()), judged.get(message_id), near.get(message_id, ()))


def conversation_of(connection: Connection, message_id: str) -> Conversation | None:
    """The conversation a message belongs to."""
    statement = select(conversations).join(messages, messages.c.conversation_id == conversations.c.id)
    row = connection.execute(statement.where(messages.c.id == message_id)).one_or_none()
    return None if row is None else _conversation(row)


def _citations(connection: Connection, message_ids: Sequence[str], readable: Collection[str]) -> dict[str, tuple[Citation, ...]]:
    statement = (
        select(citations, documents.c.id.label("document_id"), documents.c.name, documents.c.collection_id)
        .select_from(citations)
        .join(
            message_passages,
            (message_passages.c.message_id == citations.c.message_id) & (message_passages.c.number == citations.c.number),
        )
        .outerjoin(documents, documents.c.id == message_passages.c.document_id)
        .where(citations.c.message_id.in_(message_ids))
        .order_by(citations.c.message_id, citations.c.ordinal)
    )
    found: dict[str, list[Citation]] = {}
    for row in connection.execute(statement).all():
        visible = row.document_id is not None and row.collection_id in readable
        found.setdefault(row.message_id, []).append(
            Citation(
                number=row.number,
                answer_start=row.answer_start,
                answer_end=row.answer_end,
                document_id=row.document_id if visible else None,
                document_name=row.name if visible else "",
                page=row.page,
                start=row.start,
                end=row.end,
                text=span_text(connection, row.document_id, row.start, row.end) if visible else "",
            )
        )
    return {message_id: tuple(items) for message_id, items in found.items()}


def _feedback(connection: Connection, message_ids: Sequence[str]) -> dict[str, Feedback]:
    rows = connection.execute(select(feedback).where(feedback.c.message_id.in_(message_ids))).all()
    return {row.message_id: Feedback(row.helpful, FeedbackKind(row.kind), row.comment, row.shared) for row in rows}


def _nearest(connection: Connection, message_ids: Sequence[str], readable: Collection[str]) -> dict[str, tuple[Nearest, ...]]:
    statement = (
        select(message_nearest, documents.c.name)
        .join(documents, documents.c.id == message_nearest.c.document_id)
        .where(message_nearest.c.message_id.in_(message_ids), documents.c.collection_id.in_(readable))
        .order_by(message_nearest.c.message_id, message_nearest.c.rank)
    )
    found: dict[str, list[Nearest]] = {}
    for row in connection.execute(statement).all():
        text = span_text(connection, row.document_id, row.start, min(row.end, row.start + _NEAREST_CHARACTERS))
        near = Nearest(row.document_id, row.name, row.page, row.start, row.end, text)
        found.setdefault(row.message_id, []).append(near)
    return {message_id: tuple(items) for message_id, items in found.items()}


def span_text(connection: Connection, document_id: str, start: int, end: int) -> str:
    """Characters `start` to `end` of the document's text, which is its pages joined by two newlines."""
    statement = select(pages.c.start, pages.c.text).where(
        pages.c.document_id == document_id,
        pages.c.start < end,
        pages.c.start + func.length(pages.c.text) > start,
    )
    rows = connection.execute(statement.order_by(pages.c.number)).all()
    return "\n\n".join(row.text[max(0, start - row.start) : end - row.start] for row in rows)


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(*(getattr(row, field.name) for field in fields(Conversation)))


def _message(row: Row[Any], cited: tuple[Citation, ...], judged: Feedback | None, near: tuple[Nearest, ...]) -> Message:
    return Message(
        id=row.id,
        conversation_id=row.conversation_id,
        ordinal=row.ordinal,
        role=row.role,
        text=row.text,
        status=MessageStatus(row.status),
        created_ms=row.created_ms,
        finished_ms=row.finished_ms,
        finish_reason=row.finish_reason,
        reason_code=row.reason_code,
        reason=row.reason,
        model=row.model,
        passages_found=row.passages_found,
        passages_used=row.passages_used,
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        timing=json.loads(row.timing),
        selection=read_record(row.selection),
        citations=cited,
        nearest=near,
        feedback=judged,
    )

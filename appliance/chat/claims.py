"""Answer rows as jobs: who works on one, for how long, and how it ends.

A worker owns a row while its lease lasts and renews it by a heartbeat. Whoever writes to a claimed row names the claim (worker
and attempt) in the condition of the statement, so that a worker that was thought dead can never overwrite its successor.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from appliance.chat.models import Message, MessageStatus
from appliance.chat.store import load_messages
from appliance.inference.selection.records import SelectionRecord, write_record
from appliance.retrieval.models import Hit
from appliance.retrieval.pages import page_at
from appliance.storage.clock import now_ms
from appliance.storage.leases import LEASE_MS
from appliance.storage.tables import chunks, citations, conversations, documents, message_nearest, message_passages, messages


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer one question, for as long as its lease is renewed."""

    message_id: str
    conversation_id: str
    principal_id: str
    collection_id: str | None
    chosen_model: str
    question: str
    worker_id: str
    attempt: int
    asked_ms: int
    stop_requested: bool
    run_id: str = ""
    """The run of a golden set that asks: then there is no conversation and no message (chat/rehearsal.py)."""
    key_id: str = ""
    """Of the API key by which it was asked."""


@dataclass(frozen=True, slots=True)
class Span:
    """A citation before it is stored: passage number, where its mark stands in the answer, what supports it."""

    number: int
    answer_start: int
    answer_end: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that is stored when work on an answer ends."""

    status: MessageStatus
    text: str = ""
    finish_reason: str | None = None
    reason_code: str | None = None
    reason: str | None = None
    model: str | None = None
    passages: tuple[Hit, ...] = ()
    passages_found: int = 0
    nearest: tuple[Hit, ...] = ()
    spans: tuple[Span, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    timing: dict[str, float] = field(default_factory=dict)
    selection: SelectionRecord | None = None
    best_score: float | None = None
    """Of the best passage found, whether it was used or not; None where nothing was found."""
    supported: int = 0
    """Sentences of the model's own that a passage holds, and below those that none does."""
    withheld: int = 0


_EARLIER = 64
"""Messages that a question may lean on; a prompt has room for a few."""


def pending_ids(connection: Connection) -> list[str]:
    """Answers that nobody works on, oldest first."""
    statement = select(messages.c.id).where(unowned()).order_by(messages.c.created_ms, messages.c.ordinal)
    return list(connection.execute(statement).scalars())


def claim_answer(connection: Connection, message_id: str, worker_id: str) -> Claim | None:
    """Take the answer if nobody has it; None where it is finished, in someone's hands, or no answer at all."""
    columns = (messages, conversations.c.principal_id, conversations.c.collection_id, conversations.c.chosen_model)
    statement = select(*columns).join(conversations, conversations.c.id == messages.c.conversation_id)
    row = connection.execute(statement.where(messages.c.id == message_id, unowned())).one_or_none()
    if row is None:
        return None
    asked = select(messages.c.text).where(
        messages.c.conversation_id == row.conversation_id, messages.c.ordinal == row.ordinal - 1
    )
    question = connection.execute(asked).scalar_one()
    attempt = row.attempts + 1
    values = {"status": MessageStatus.ANSWERING, "claimed_by": worker_id, "attempts": attempt}
    changed = update(messages).where(messages.c.id == message_id)
    connection.execute(changed.values(lease_until_ms=now_ms() + LEASE_MS, **values))
    return Claim(
        message_id=message_id,
        conversation_id=row.conversation_id,
        principal_id=row.principal_id,
        collection_id=row.collection_id,
        chosen_model=row.chosen_model,
        question=question,
        worker_id=worker_id,
        attempt=attempt,
        asked_ms=row.created_ms,
        stop_requested=row.stop_requested,
        key_id=row.key_id,
    )


def renew(connection: Connection, claim: Claim) -> bool:
    """Move the end of the lease; False when the claim is lost."""
    changed = update(messages).where(_owned(claim)).values(lease_until_ms=now_ms() + LEASE_MS)
    return connection.execute(changed).rowcount == 1


def stop_requested(connection: Connection, claim: Claim) -> bool:
    """Whether a person pressed stop, or took the whole conversation away."""
    found = connection.execute(select(messages.c.stop_requested).where(messages.c.id == claim.message_id)).scalar()
    return True if found is None else bool(found)


def request_stop(connection: Connection, message_id: str) -> bool:
    """Ask whoever works on the answer to stop; True when nobody does and the caller must end it."""
    changed = update(messages).where(messages.c.id == message_id)
    connection.execute(changed.values(stop_requested=True))
    found = select(messages.c.id).where(messages.c.id == message_id, messages.c.status == MessageStatus.PENDING)
    return connection.execute(found).one_or_none() is not None


def earlier_messages(connection: Connection, claim: Claim) -> list[Message]:
    """The latest messages before the question this claim answers, oldest first, without citations."""
    own = select(messages.c.ordinal).where(messages.c.id == claim.message_id).scalar_subquery()
    return load_messages(connection, claim.conversation_id, (), before=own - 1, latest=_EARLIER)


def reading_goes_on(connection: Connection, collection_ids: Iterable[str]) -> bool:
    """Whether a document of these collections is on its way into the index."""
    on_their_way = select(documents.c.id).where(documents.c.status.in_(("PENDING", "PARSING", "EMBEDDING")))
    found = connection.execute(on_their_way.where(documents.c.collection_id.in_(set(collection_ids))).limit(1))
    return found.scalar() is not None


def finish(connection: Connection, claim: Claim, ending: Ending) -> bool:
    """Store the end of the work; False, changing nothing, when the claim was lost meanwhile."""
    values = _columns(ending)
    changed = connection.execute(update(messages).where(_owned(claim)).values(values))
    if changed.rowcount != 1:
        return False
    _store_passages(connection, claim.message_id, ending)
    connection.execute(
        update(conversations).where(conversations.c.id == claim.conversation_id).values(updated_ms=values["finished_ms"])
    )
    return True


def _columns(ending: Ending) -> dict[str, Any]:
    return {
        "status": ending.status,
        "text": ending.text,
        "finished_ms": now_ms(),
        "finish_reason": ending.finish_reason,
        "reason_code": ending.reason_code,
        "reason": ending.reason,
        "model": ending.model,
        "passages_found": ending.passages_found,
        "passages_used": len(ending.passages),
        "prompt_tokens": ending.prompt_tokens,
        "cached_tokens": ending.cached_tokens,
        "completion_tokens": ending.completion_tokens,
        "timing": json.dumps(ending.timing),
        "selection": "" if ending.selection is None else write_record(ending.selection),
        "best_score": ending.best_score,
        "sentences_supported": ending.supported,
        "sentences_withheld": ending.withheld,
        "lease_until_ms": 0,
    }


def _store_passages(connection: Connection, message_id: str, ending: Ending) -> None:
    # a document may have been deleted while its passages were being read
    chunk_ids = _existing(connection, chunks.c.id, [hit.chunk_id for hit in ending.passages])
    document_ids = _existing(connection, documents.c.id, [hit.document_id for hit in ending.passages])
    for number, hit in enumerate(ending.passages, start=1):
        connection.execute(
            insert(message_passages).values(
                message_id=message_id,
                number=number,
                chunk_id=hit.chunk_id if hit.chunk_id in chunk_ids else None,
                document_id=hit.document_id if hit.document_id in document_ids else None,
                page=hit.page,
                start=hit.start,
                end=hit.end,
                score=hit.score,
            )
        )
    offered = _existing(connection, documents.c.id, [hit.document_id for hit in ending.nearest])
    for rank, hit in enumerate((hit for hit in ending.nearest if hit.document_id in offered), start=1):
        place = {"document_id": hit.document_id, "page": hit.page, "start": hit.start, "end": hit.end}
        connection.execute(insert(message_nearest).values(message_id=message_id, rank=rank, **place))
    for ordinal, span in enumerate(ending.spans, start=1):
        hit = ending.passages[span.number - 1]
        connection.execute(
            insert(citations).values(
                message_id=message_id,
                ordinal=ordinal,
                number=span.number,
                answer_start=span.answer_start,
                answer_end=span.answer_end,
                page=page_at(connection, hit.document_id, span.start) or hit.page,
                start=span.start,
                end=span.end,
            )
        )


def _existing(connection: Connection, column: ColumnElement[Any], wanted: Sequence[Any]) -> set[Any]:
    return set(connection.execute(select(column).where(column.in_(wanted))).scalars())


def unowned() -> ColumnElement[bool]:
    """Answers that nobody works on: not begun, or their worker's lease ran out."""
    return and_(
        messages.c.role == "assistant",
        or_(
            messages.c.status == MessageStatus.PENDING,
            and_(messages.c.status == MessageStatus.ANSWERING, messages.c.lease_until_ms < now_ms()),
        ),
    )


def _owned(claim: Claim) -> ColumnElement[bool]:
    return and_(
        messages.c.id == claim.message_id,
        messages.c.status == MessageStatus.ANSWERING,
        messages.c.claimed_by == claim.worker_id,
        messages.c.attempts == claim.attempt,
    )

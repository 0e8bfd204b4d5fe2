"""The row is the job: who works on a document, for how long, and how far it has got.

A claim is a lease that its holder renews. A holder that dies lets it run out, and the document is anybody's again; a holder
that was only slow finds its claim gone and stops, so two workers never finish the same document.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from appliance.documents.models import Document, DocumentStatus, ParsedDocument
from appliance.documents.store import load_document
from appliance.storage.clock import now_ms
from appliance.storage.leases import LEASE_MS
from appliance.storage.tables import collections, documents

_WORKING = (DocumentStatus.PARSING, DocumentStatus.EMBEDDING)


class ClaimLost(Exception):
    """Raised inside the ingest when the document is gone, its collection is, or another worker has it; never reaches a person."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one document."""

    document: Document
    collection_number: int
    blob_name: str
    worker_id: str
    attempt: int


def pending_ids(connection: Connection) -> list[str]:
    """Documents that wait for a worker or whose worker is gone, oldest first."""
    found = select(documents.c.id).where(_free(now_ms())).order_by(documents.c.uploaded_ms)
    return list(connection.execute(found).scalars())


def untried_id(connection: Connection, size_bytes: int) -> str | None:
    """The oldest document that nobody has tried yet and that is no larger than that."""
    untried = and_(documents.c.status == DocumentStatus.PENDING, documents.c.attempts == 0)
    small = and_(untried, documents.c.size_bytes <= size_bytes, _in_place())
    return connection.execute(select(documents.c.id).where(small).order_by(documents.c.uploaded_ms).limit(1)).scalar()


def claim_document(connection: Connection, document_id: str, worker_id: str) -> Claim | None:
    """Take the document if nobody has it; None where it is finished, failed, gone or in someone's hands."""
    free = and_(documents.c.id == document_id, _free(now_ms()))
    taken = (
        update(documents)
        .where(free)
        .values(
            status=DocumentStatus.PARSING,
            stage="Reading",
            percent=0,
            attempts=documents.c.attempts + 1,
            claimed_by=worker_id,
            lease_until_ms=now_ms() + LEASE_MS,
        )
    )
    if connection.execute(taken).rowcount != 1:
        return None
    document = load_document(connection, document_id)
    assert document is not None
    columns = (documents.c.blob_name, documents.c.attempts, collections.c.number)
    joined = select(*columns).join(collections, collections.c.id == documents.c.collection_id)
    row = connection.execute(joined.where(documents.c.id == document_id)).one()
    return Claim(document, row.number, row.blob_name, worker_id, row.attempts)


def still_held(connection: Connection, claim: Claim) -> bool:
    return connection.execute(select(documents.c.id).where(_held(claim))).first() is not None


def renew(connection: Connection, claim: Claim, **values: object) -> bool:
    """Prolong the lease, with `values` for the row; False where the document is gone or another worker's."""
    renewed = update(documents).where(_held(claim)).values(lease_until_ms=now_ms() + LEASE_MS, **values)
    return connection.execute(renewed).rowcount == 1


def finish(connection: Connection, claim: Claim, parsed: ParsedDocument, *, chunk_count: int) -> None:
    """READY. Raises `ClaimLost`."""
    hidden = {"hidden_pages": parsed.hidden_pages, "hidden_letters": sum(page.hidden for page in parsed.pages)}
    counts = {"page_count": len(parsed.pages), "chunk_count": chunk_count}
    _end(connection, claim, status=DocumentStatus.READY, percent=100, **counts, **hidden)


def fail(connection: Connection, claim: Claim, code: str, reason: str) -> None:
    """FAILED, with the reason a person sees. Raises `ClaimLost`."""
    _end(connection, claim, status=DocumentStatus.FAILED, reason_code=code, reason=reason)


def hand_back(connection: Connection, claim: Claim, *, blameless: bool) -> None:
    """PENDING again; the attempt does not count where the work was only interrupted."""
    waiting = update(documents).where(_held(claim)).values(attempts=claim.attempt - int(blameless))
    connection.execute(
        waiting.values(status=DocumentStatus.PENDING, stage="Waiting", percent=0, claimed_by=None, lease_until_ms=0)
    )


def _end(connection: Connection, claim: Claim, **values: object) -> None:
    ended = update(documents).where(_held(claim)).values(stage="", lease_until_ms=0, claimed_by=None, **values)
    if connection.execute(ended).rowcount != 1:
        raise ClaimLost


def _free(moment_ms: int) -> ColumnElement[bool]:
    abandoned = and_(documents.c.status.in_(_WORKING), documents.c.lease_until_ms < moment_ms)
    return and_(or_(documents.c.status == DocumentStatus.PENDING, abandoned), _in_place())


def _held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        documents.c.id == claim.document.id,
        documents.c.claimed_by == claim.worker_id,
        documents.c.attempts == claim.attempt,
        documents.c.status.in_(_WORKING),
        _in_place(),
    )


def _in_place() -> ColumnElement[bool]:
    """Its collection was not deleted: then it is only waiting to be cleared away."""
    return documents.c.collection_id.in_(select(collections.c.id).where(collections.c.deleted_ms.is_(None)))

"""The SQL of documents and their pages. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from appliance.documents.models import Chunk, Document, DocumentStatus, Page, ParsedDocument
from appliance.retrieval.slices import free_chunk_id
from appliance.storage.tables import chunks, collections, documents, message_nearest, message_passages, pages

_ROWS = 1_000
_SHOWN = tuple(field.name for field in fields(Document))
_COLUMNS = [documents.c[name] for name in _SHOWN]


def insert_document(connection: Connection, document: Document, blob_name: str) -> None:
    values = {name: getattr(document, name) for name in _SHOWN}
    connection.execute(insert(documents).values(blob_name=blob_name, **values))


def load_document(connection: Connection, document_id: str) -> Document | None:
    row = connection.execute(select(*_COLUMNS).where(documents.c.id == document_id)).one_or_none()
    return _document(row) if row is not None else None


def same_content(connection: Connection, collection_id: str, sha256: str) -> Document | None:
    """The document of this collection with this very content."""
    found = select(*_COLUMNS).where(documents.c.collection_id == collection_id, documents.c.sha256 == sha256)
    row = connection.execute(found).one_or_none()
    return _document(row) if row is not None else None


def documents_in(connection: Connection, collection_ids: Collection[str]) -> list[Document]:
    """Documents of these collections, newest first."""
    found = select(*_COLUMNS).where(documents.c.collection_id.in_(collection_ids))
    return [_document(row) for row in connection.execute(found.order_by(documents.c.uploaded_ms.desc(), documents.c.name))]


def documents_of_deleted(connection: Connection, limit: int) -> list[Document]:
    """Some of the documents whose collections were deleted."""
    gone = select(collections.c.id).where(collections.c.deleted_ms.is_not(None))
    found = select(*_COLUMNS).where(documents.c.collection_id.in_(gone)).order_by(documents.c.id).limit(limit)
    return [_document(row) for row in connection.execute(found)]


def documents_where(connection: Connection, *conditions: ColumnElement[bool], limit: int) -> list[Document]:
    """The first of those that meet all conditions, the oldest first."""
    found = select(*_COLUMNS).where(*conditions).order_by(documents.c.uploaded_ms, documents.c.id).limit(limit)
    return [_document(row) for row in connection.execute(found)]


def blob_of(connection: Connection, document_id: str) -> str | None:
    """The name of the stored file behind a document."""
    return connection.execute(select(documents.c.blob_name).where(documents.c.id == document_id)).scalar()


def blob_in_use(connection: Connection, blob_name: str) -> bool:
    return connection.execute(select(documents.c.id).where(documents.c.blob_name == blob_name).limit(1)).first() is not None


def delete_document(connection: Connection, document_id: str) -> None:
    """Remove a document with its text and chunks; the search index is the caller's."""
    connection.execute(delete(chunks).where(chunks.c.document_id == document_id))
    connection.execute(delete(pages).where(pages.c.document_id == document_id))
    connection.execute(delete(documents).where(documents.c.id == document_id))


def detach_document(connection: Connection, document_id: str) -> None:
    """Remove a document with its text, and leave its withdrawn chunks to the sweep: only where foreign keys are not enforced."""
    gone = message_passages.c.document_id == document_id
    connection.execute(update(message_passages).where(gone).values(document_id=None, chunk_id=None))
    connection.execute(delete(message_nearest).where(message_nearest.c.document_id == document_id))
    connection.execute(delete(pages).where(pages.c.document_id == document_id))
    connection.execute(delete(documents).where(documents.c.id == document_id))


def reset_document(connection: Connection, document_id: str) -> bool:
    """Put a failed document back to the start; False when it has not failed."""
    failed = (documents.c.id == document_id) & (documents.c.status == DocumentStatus.FAILED)
    values: dict[str, Any] = {"stage": "Waiting", "percent": 0, "reason_code": None, "reason": None, "attempts": 0}
    changed = update(documents).where(failed)
    return (
        connection.execute(changed.values(status=DocumentStatus.PENDING, claimed_by=None, lease_until_ms=0, **values)).rowcount
        == 1
    )


def insert_pages(connection: Connection, document_id: str, parsed: ParsedDocument) -> None:
    rows = [
        {"document_id": document_id, "number": page.number, "start": page.start, "text": page.text, "label": page.label}
        for page in parsed.pages
    ]
    for first in range(0, len(rows), _ROWS):
        connection.execute(insert(pages), rows[first : first + _ROWS])


def load_page(connection: Connection, document_id: str, number: int) -> Page | None:
    found = select(pages.c.number, pages.c.start, pages.c.text, pages.c.label)
    row = connection.execute(found.where(pages.c.document_id == document_id, pages.c.number == number)).one_or_none()
    return Page(row.number, row.start, row.text, row.label) if row is not None else None


def insert_chunks(
    connection: Connection, document_id: str, collection_id: str, passages: Sequence[Chunk], first: int | None = None
) -> int:
    """Store passages of a document; the id of its very first, from which theirs count on. `first` is one that was reserved."""
    if first is None:
        first = free_chunk_id(connection)
    for start in range(0, len(passages), _ROWS):
        rows = [
            {"id": first + passage.ordinal, "document_id": document_id, "collection_id": collection_id, **asdict(passage)}
            for passage in passages[start : start + _ROWS]
        ]
        connection.execute(insert(chunks), rows)
    return first


def _document(row: Row[Any]) -> Document:
    values = row._asdict()
    return Document(**{**values, "status": DocumentStatus(values["status"])})

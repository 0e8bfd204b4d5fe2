"""How a document leaves: its rows at once where they are few, else out of everybody's sight first and its passages in slices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from appliance.documents import store
from appliance.documents.models import Document, DocumentStatus
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database


def goes_at_once(document: Document, most: int) -> bool:
    """Whether one transaction can remove all of it: it is stored in full, as at most so many passages."""
    return document.status is DocumentStatus.READY and document.chunk_count <= most


def fitting(left: Sequence[Document], most: int) -> list[Document]:
    """As many of the first ones as one transaction can remove, with at most so many passages; always the first."""
    batch: list[Document] = []
    passages = 0
    for document in left:
        passages += document.chunk_count
        if batch and (passages > most or not goes_at_once(document, most)):
            break
        batch.append(document)
        if not goes_at_once(document, most):
            break
    return batch


def take_away(connection: Connection, index: SearchIndex, document_id: str, *, at_once: bool) -> str | None:
    """Remove a document; the name of its stored file, or None where it was gone already.

    Unless `at_once`, its passages are left to `slices.sweep`, and the transaction must not enforce foreign keys.
    """
    blob_name = store.blob_of(connection, document_id)
    if blob_name is None:
        return None
    if at_once:
        index.remove(connection, document_id)
        store.delete_document(connection, document_id)
    else:
        slices.withdraw(connection, document_id)
        store.detach_document(connection, document_id)
    return blob_name


def remove_unused(database: Database, blobs: BlobStore, blob_names: Iterable[str]) -> int:
    """Delete those of the stored files that no document uses; how many there were."""
    removed = 0
    # under the write lock, so that no upload of the same content can come between question and removal
    with database.write() as connection:
        for name in blob_names:
            if not store.blob_in_use(connection, name):
                blobs.remove(name)
                removed += 1
    return removed

"""Storing and removing what is too much for one transaction, in slices between which other writers get their turn.

A document is stored hidden and shown in the last transaction; it is hidden in the first one and then removed. Whatever a crash
leaves behind stays hidden until somebody sweeps it away.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection

from appliance.retrieval.index import count_chunks, forget
from appliance.retrieval.indexes import forget_document
from appliance.retrieval.stored_postings import forget_postings, sweep_postings
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

SLICE = 1_000
"""Passages in one transaction: a quarter of a second where 10,000 take two."""

PAUSE_S = 0.1
"""Between two slices: writers of other processes look that often whether the lock is free."""


def reserve(connection: Connection, collection_number: int, document_id: str, count: int) -> int:
    """Hidden numbers in a row for the passages of a document that has none; the first of them."""
    first = free_chunk_id(connection)
    connection.exec_driver_sql(
        "INSERT INTO search_hidden(first, last, collection_number, document_id) VALUES (?, ?, ?, ?)",
        (first, first + count - 1, collection_number, document_id),
    )
    return first


def free_chunk_id(connection: Connection) -> int:
    """The first number above all that are taken or reserved."""
    taken: int = connection.exec_driver_sql(
        "SELECT max((SELECT coalesce(max(id), 0) FROM chunks), (SELECT coalesce(max(last), 0) FROM search_hidden))"
    ).scalar_one()
    return taken + 1


def reserved(connection: Connection, document_id: str, first: int | None = None) -> bool:
    """Whether numbers are reserved for this document: those from `first` on, or any."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM search_hidden WHERE document_id = ? AND first = coalesce(?, first)", (document_id, first)
    )
    return found.first() is not None


def reveal(connection: Connection, document_id: str, first: int) -> bool:
    """Let searches find what was stored under these numbers; False where somebody has begun to remove it."""
    shown = connection.exec_driver_sql(
        "DELETE FROM search_hidden WHERE document_id = ? AND first = ? RETURNING collection_number, last", (document_id, first)
    ).first()
    if shown is None:
        return False
    count_chunks(connection, {shown[0]: shown[1] - first + 1})
    return True


def withdraw(connection: Connection, document_id: str) -> None:
    """Hide all passages of a document, from now on to be removed."""
    forget_document(connection, document_id)
    if abandon(connection, document_id):
        return
    found = connection.exec_driver_sql(
        "SELECT min(chunks.id), max(chunks.id), count(*), collections.number FROM chunks "
        "JOIN collections ON collections.id = chunks.collection_id WHERE document_id = ? GROUP BY collections.number",
        (document_id,),
    ).first()
    if found is not None:
        connection.exec_driver_sql(
            "INSERT INTO search_hidden(first, last, collection_number) VALUES (?, ?, ?)", (found[0], found[1], found[3])
        )
        count_chunks(connection, {found[3]: -found[2]})
        forget_postings(connection, found[3])


def withdraw_collection(connection: Connection, collection_number: int) -> None:
    """No search finds anything in it from now on; its documents are still to be removed."""
    connection.exec_driver_sql("DELETE FROM search_collections WHERE collection_number = ?", (collection_number,))
    forget_postings(connection, collection_number)


def abandon(connection: Connection, document_id: str) -> bool:
    """Leave to removal what was stored of a document that is not stored in full; False where there is nothing."""
    left = connection.exec_driver_sql("UPDATE search_hidden SET document_id = NULL WHERE document_id = ?", (document_id,))
    return left.rowcount == 1


def abandon_unheld(connection: Connection) -> None:
    """The same for all documents that no worker holds."""
    connection.exec_driver_sql(
        "UPDATE search_hidden SET document_id = NULL WHERE document_id IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM documents WHERE documents.id = document_id AND claimed_by IS NOT NULL AND lease_until_ms > ?)",
        (now_ms(),),
    )


def sweep(database: Database) -> int:
    """Remove what is left to removal; how many passages."""
    removed = 0
    while (count := _sweep_slice(database)) is not None:
        removed += count
        time.sleep(PAUSE_S)
    sweep_postings(database)
    return removed


def _sweep_slice(database: Database) -> int | None:
    """How many passages one short transaction removed; None where nothing is left."""
    left = "SELECT first, last FROM search_hidden WHERE document_id IS NULL LIMIT 1"
    with database.read() as connection:
        if connection.exec_driver_sql(left).first() is None:
            return None
    with database.write() as connection:
        found = connection.exec_driver_sql(left).first()
        if found is None:
            return None
        ids = connection.exec_driver_sql(
            "SELECT id FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?", (found[0], found[1], SLICE)
        ).fetchall()
        if ids:
            forget(connection, [row[0] for row in ids])
            connection.exec_driver_sql("DELETE FROM chunks WHERE id = ?", [(row[0],) for row in ids])
        if len(ids) < SLICE:
            connection.exec_driver_sql("DELETE FROM search_hidden WHERE first = ?", (found[0],))
        return len(ids)

"""Which embedding model the vectors were made with, and the second index that is made while a model is being replaced.

Vectors of two models never compare. So each index of vectors has tables of its own and a row that names its model by digest and
dimension; words do not depend on a model and are shared. One index serves. Another may be building: it is filled behind the
serving one and takes its place in one transaction. What served before, or was abandoned, is leaving until it is swept away.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from appliance.errors import Unavailable
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

FIRST = 1
"""The index that was there before there could be several. Its passages were divided by its own model, whose lengths they have."""

SLICE = 500
"""Vectors that one transaction sweeps away."""

PAUSE_S = 0.1
_COLUMNS = (
    "number, model_id, sha256, dimensions, state, complete, begun_by, begun_ms, document_id, document_done, passages_per_s, "
    "against, unconditional"
)


class EmbedderChanged(Unavailable):
    """Raised where a vector meets an index that was made with another model: the two are never compared or mixed."""

    code = "search.embedder_changed"


class IndexState(StrEnum):
    """At most one index is building, exactly one serves."""

    BUILDING = "building"
    SERVING = "serving"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """An index of vectors: `model_id` and `sha256` are empty where nobody recorded a model, `dimensions` is 0 without tables.

    `complete` says that no document waits to be brought up to date. `document_id`, of which `document_done` passages are in, and
    `passages_per_s` are the last that was heard of the work on it. `against` says why an index that holds everything does not
    take over; one that is `unconditional` does, whatever speaks against it.
    """

    number: int
    model_id: str
    sha256: str
    dimensions: int
    state: IndexState
    complete: bool
    begun_by: str
    begun_ms: int
    document_id: str
    document_done: int
    passages_per_s: float
    against: str
    unconditional: bool


class Judgement(NamedTuple):
    """What is said of a building index that holds everything: whether something is still to be asked, and if not, what stands
    against it (empty where nothing does) and what the audit log keeps of why it may take over.
    """

    open: bool
    against: str
    facts: Mapping[str, str | int]


class Tables(NamedTuple):
    """Names of the tables of one index."""

    vectors: str
    exact: str
    pieces: str


class Outstanding(NamedTuple):
    """A document that an index does not hold in full, and its passages by their ids, which are in a row."""

    document_id: str
    first: int
    last: int


def tables_of(number: int) -> Tables:
    """The first index has the names that were there before there could be several."""
    suffix = "" if number == FIRST else f"_{number}"
    return Tables(f"search_vectors{suffix}", f"search_exact{suffix}", f"search_pieces{suffix}")


def padded(dimensions: int) -> int:
    """Bits of a vector as they are stored and compared, by words of 64; those beyond the dimensions are 0 everywhere."""
    return -(-dimensions // 64) * 64


def all_indexes(connection: Connection) -> list[IndexRecord]:
    rows = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM search_indexes ORDER BY number").mappings()
    return [
        IndexRecord(
            **{
                **row,
                "state": IndexState(row["state"]),
                "complete": bool(row["complete"]),
                "unconditional": bool(row["unconditional"]),
            }
        )
        for row in rows
    ]


def serving(connection: Connection, made_by: str | None = None) -> IndexRecord:
    """The index that questions are answered from. Raises `EmbedderChanged` unless it was made by `made_by`, where given."""
    found = next(index for index in all_indexes(connection) if index.state is IndexState.SERVING)
    if made_by is not None and made_by != found.sha256:
        raise _changed(found.sha256, made_by)
    return found


def numbered(connection: Connection, number: int, made_by: str) -> IndexRecord:
    """One index, whether it serves or not. Raises `EmbedderChanged` where it is leaving or gone, or not made by `made_by`."""
    found = next((index for index in all_indexes(connection) if index.number == number), None)
    if found is None or found.state is IndexState.LEAVING or made_by != found.sha256:
        raise _changed(found.sha256 if found else "", made_by)
    return found


def building(connection: Connection) -> IndexRecord | None:
    """The index that is to take the place of the serving one."""
    return next((index for index in all_indexes(connection) if index.state is IndexState.BUILDING), None)


def record_model(connection: Connection, model_id: str, sha256: str) -> bool:
    """Say which model the serving index was made with, where nobody has yet; whether that was so."""
    told = connection.exec_driver_sql(
        "UPDATE search_indexes SET model_id = ?, sha256 = ? WHERE state = 'serving' AND sha256 = ''", (model_id, sha256)
    )
    return told.rowcount == 1


def begin(connection: Connection, model_id: str, sha256: str, begun_by: str, *, unconditional: bool = False) -> IndexRecord:
    """A new index for this model, building. There must be none yet."""
    connection.exec_driver_sql(
        "INSERT INTO search_indexes(model_id, sha256, dimensions, state, complete, begun_by, begun_ms, unconditional) "
        "VALUES (?, ?, 0, 'building', 0, ?, ?, ?)",
        (model_id, sha256, begun_by, now_ms(), unconditional),
    )
    begun = building(connection)
    assert begun is not None
    return begun


def make_tables(connection: Connection, index: IndexRecord, dimensions: int) -> None:
    """Give a building index its tables, once it is known how long its vectors are."""
    tables = tables_of(index.number)
    connection.exec_driver_sql(
        f"CREATE VIRTUAL TABLE {tables.vectors} USING vec0(chunk_id INTEGER PRIMARY KEY, "
        f"collection_number INTEGER PARTITION KEY, bits bit[{padded(dimensions)}], chunk_size=256)"
    )
    connection.exec_driver_sql(
        f"CREATE TABLE {tables.exact} (chunk_id INTEGER PRIMARY KEY, vector BLOB NOT NULL, token_count INTEGER)"
    )
    connection.exec_driver_sql(f"CREATE TABLE {tables.pieces} (chunk_id INTEGER PRIMARY KEY, signs BLOB NOT NULL)")
    connection.exec_driver_sql("UPDATE search_indexes SET dimensions = ? WHERE number = ?", (dimensions, index.number))


def switch(connection: Connection, index: IndexRecord) -> None:
    """Let a building index serve, and the one that served leave: what is asked after this transaction is asked of the new one."""
    connection.exec_driver_sql("UPDATE search_indexes SET state = 'leaving' WHERE state = 'serving'")
    connection.exec_driver_sql(
        "UPDATE search_indexes SET state = 'serving', complete = 1, document_id = '', document_done = 0, against = '' "
        "WHERE number = ?",
        (index.number,),
    )


def hold(connection: Connection, number: int, against: str) -> None:
    """Say why a building index that holds everything does not take over."""
    connection.exec_driver_sql("UPDATE search_indexes SET against = ? WHERE number = ?", (against, number))


def let_through(connection: Connection, number: int) -> None:
    """Let a building index take over whatever speaks against it."""
    connection.exec_driver_sql("UPDATE search_indexes SET against = '', unconditional = 1 WHERE number = ?", (number,))


def abandon(connection: Connection, index: IndexRecord) -> None:
    """Leave a building index to the sweep; the serving one goes on."""
    connection.exec_driver_sql(
        "UPDATE search_indexes SET state = 'leaving' WHERE number = ? AND state = 'building'", (index.number,)
    )


def outstanding(connection: Connection, number: int) -> Outstanding | None:
    """One of the documents that people can search and this index does not hold in full."""
    row = connection.exec_driver_sql(
        "SELECT id FROM documents WHERE status = 'READY' AND chunk_count > 0 AND NOT EXISTS (SELECT 1 FROM search_indexed "
        "WHERE index_number = ? AND document_id = documents.id) LIMIT 1",
        (number,),
    ).first()
    if row is None:
        return None
    first, last = connection.exec_driver_sql("SELECT min(id), max(id) FROM chunks WHERE document_id = ?", (row[0],)).one()
    return Outstanding(row[0], first, last)


def mark_indexed(connection: Connection, number: int, document_id: str) -> None:
    """An index holds all passages of a document."""
    connection.exec_driver_sql("INSERT OR IGNORE INTO search_indexed VALUES (?, ?)", (number, document_id))


def forget_document(connection: Connection, document_id: str) -> None:
    """No index holds a document any longer."""
    connection.exec_driver_sql(
        "DELETE FROM search_indexed WHERE document_id = ? AND index_number IN (SELECT number FROM search_indexes)",
        (document_id,),
    )


def note_progress(connection: Connection, number: int, document_id: str, done: int, passages_per_s: float) -> None:
    """What the models page shows of the document in the works."""
    connection.exec_driver_sql(
        "UPDATE search_indexes SET document_id = ?, document_done = ?, passages_per_s = ? WHERE number = ?",
        (document_id, done, passages_per_s, number),
    )


def mark_complete(connection: Connection, number: int) -> None:
    """Nothing of this index waits to be brought up to date."""
    connection.exec_driver_sql(
        "UPDATE search_indexes SET complete = 1, document_id = '', document_done = 0 WHERE number = ?", (number,)
    )


def unfinished(connection: Connection) -> list[str]:
    """Numbers of the indexes with which something is left to do; one row is read for each index there is."""
    return [str(index.number) for index in all_indexes(connection) if not (index.state is IndexState.SERVING and index.complete)]


def sweep(database: Database) -> int:
    """Remove the indexes that are leaving, in transactions that each take a moment; how many vectors."""
    removed = 0
    while (count := _sweep_slice(database)) is not None:
        removed += count
        time.sleep(PAUSE_S)
    return removed


def _sweep_slice(database: Database) -> int | None:
    """How many vectors one transaction removed; None where no index is leaving."""
    with database.read() as connection:
        if not _leaving(connection):
            return None
    with database.write() as connection:
        leaving = _leaving(connection)
        if not leaving:
            return None
        index = leaving[0]
        if index.dimensions:
            tables = tables_of(index.number)
            ids = connection.exec_driver_sql(f"SELECT chunk_id FROM {tables.exact} LIMIT ?", (SLICE,)).fetchall()
            if ids:
                for table in tables:
                    connection.exec_driver_sql(f"DELETE FROM {table} WHERE chunk_id = ?", [(row[0],) for row in ids])
                return len(ids)
            for table in tables:
                connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("DELETE FROM search_indexed WHERE index_number = ?", (index.number,))
        connection.exec_driver_sql("DELETE FROM search_indexes WHERE number = ?", (index.number,))
        return 0


def _changed(index: str, given: str) -> EmbedderChanged:
    return EmbedderChanged("The embedding model was changed a moment ago. Try again.", index=index[:12], given=given[:12])


def _leaving(connection: Connection) -> list[IndexRecord]:
    return [index for index in all_indexes(connection) if index.state is IndexState.LEAVING]

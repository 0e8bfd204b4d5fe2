"""The search index in the database: what is put in, taken out and merged. How it is asked stands in `view.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from appliance.retrieval.impacts import IMPACTS, entry_row, passage_tokens
from appliance.retrieval.indexes import IndexRecord, all_indexes, forget_document, serving, tables_of
from appliance.retrieval.partitions import packed, signs
from appliance.retrieval.stored_postings import forget_postings
from appliance.retrieval.view import Held, IndexView

_MERGED_PAGES = 100


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A chunk as the index takes it; `vector` is L2-normalised, `tokens` is what `passage_tokens` made of its words."""

    chunk_id: int
    collection_number: int
    vector: NDArray[np.float32]
    tokens: list[list[str]]
    signs: bytes = b""  # of its word pieces, `packed_pieces`
    token_count: int | None = None  # by the model of the index; None where the passage was counted by it


def index_row(
    chunk_id: int,
    collection_number: int,
    vector: NDArray[np.float32],
    *,
    title: str,
    heading: str,
    text: str,
    signs: bytes = b"",
) -> IndexRow:
    """The row of a chunk. Making its tokens takes longer than storing them: call it before the write lock is taken."""
    return IndexRow(chunk_id, collection_number, vector, passage_tokens(collection_number, title, heading, text), signs)


class SearchIndex:
    """Adds, removes and finds chunks; transactions belong to the caller.

    Vectors come with the digest of the model that made them, `made_by`. Where that is not the model of the serving index
    `EmbedderChanged` is raised; empty is for an index and an embedder that both have no name.

    One may be shared by threads. It keeps the vectors of the collections it searched (450 bytes a chunk) until they change, and
    the posting lists used last.
    """

    def __init__(self) -> None:
        self._held = Held()

    def add(self, connection: Connection, rows: Sequence[IndexRow], *, made_by: str = "", hidden: bool = False) -> None:
        """Index chunks. Their ids must not be in the index yet; those of `hidden` ones are reserved (`slices.reserve`)."""
        index = serving(connection, made_by)
        if not rows:
            return
        store_vectors(connection, index, rows)
        store_pieces(connection, index, rows)
        entries = [
            (entry_row(row.chunk_id, step), " ".join(tokens)) for row in rows for step, tokens in enumerate(row.tokens) if tokens
        ]
        if entries:
            connection.exec_driver_sql("INSERT INTO search_words(rowid, tokens) VALUES (?, ?)", entries)
        if not hidden:
            count_chunks(connection, Counter(row.collection_number for row in rows))

    def remove(self, connection: Connection, document_id: str) -> None:
        """Take a document's chunks out of the index. Call it while their rows in `chunks` are still there."""
        forget_document(connection, document_id)
        indexed = connection.exec_driver_sql(
            "SELECT chunks.id, number FROM chunks JOIN collections ON collections.id = chunks.collection_id "
            f"JOIN {tables_of(serving(connection).number).exact} AS exact ON exact.chunk_id = chunks.id WHERE document_id = ?",
            (document_id,),
        ).fetchall()
        if not indexed:
            return
        forget(connection, [row[0] for row in indexed])
        removed = Counter(row[1] for row in indexed)
        count_chunks(connection, {number: -count for number, count in removed.items()})
        for number in removed:
            forget_postings(connection, number)

    def view(
        self, connection: Connection, scope_numbers: Collection[int], *, made_by: str = "", number: int | None = None
    ) -> IndexView:
        """What a search within this scope sees until the transaction ends: of one index, the serving one unless named."""
        return IndexView(connection, scope_numbers, made_by, self._held, number)


def store_vectors(connection: Connection, index: IndexRecord, rows: Sequence[IndexRow]) -> None:
    """Put vectors of chunks that it does not hold yet into one index. Raises `ValueError` for vectors of another length."""
    vectors = np.stack([row.vector for row in rows]).astype(np.float32, copy=False)
    if vectors.shape[1] != index.dimensions:
        raise ValueError(f"index {index.number} has {index.dimensions} dimensions, not {vectors.shape[1]}")
    tables = tables_of(index.number)
    bits, exact = signs(vectors), packed(vectors)
    connection.exec_driver_sql(
        f"INSERT INTO {tables.vectors}(chunk_id, collection_number, bits) VALUES (?, ?, vec_bit(?))",
        [(row.chunk_id, row.collection_number, bits[at].tobytes()) for at, row in enumerate(rows)],
    )
    connection.exec_driver_sql(
        f"INSERT INTO {tables.exact}(chunk_id, vector, token_count) VALUES (?, ?, ?)",
        [(row.chunk_id, exact[at], row.token_count) for at, row in enumerate(rows)],
    )


def store_pieces(connection: Connection, index: IndexRecord, rows: Sequence[IndexRow]) -> None:
    """Put the pieces of chunks into one index, in the place of those it has."""
    pieces = [(row.chunk_id, row.signs) for row in rows if row.signs]
    if pieces:
        table = tables_of(index.number).pieces
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO {table}(chunk_id, signs) VALUES (?, ?)", pieces)


def forget(connection: Connection, chunk_ids: Sequence[int]) -> None:
    """Take chunks out of every table of every index; counting them is the caller's."""
    ids = [(chunk_id,) for chunk_id in chunk_ids]
    for index in all_indexes(connection):
        for table in tables_of(index.number) if index.dimensions else ():
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE chunk_id = ?", ids)
    connection.exec_driver_sql(
        "DELETE FROM search_words WHERE rowid = ?",
        [(entry_row(chunk_id, step),) for chunk_id in chunk_ids for step in range(len(IMPACTS))],
    )


def merge_words(connection: Connection) -> bool:
    """One short step of joining what uploads have added to the full-text index; whether there may be more to do.

    A posting list in one piece is read in half the time of one in seven. A step ends by itself after some pages, so that the
    write lock is held for a tenth of a second at most.
    """
    before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
    # a negative number of pages: join everything, not only what has grown to the same size (FTS5 manual, 'merge')
    connection.exec_driver_sql("INSERT INTO search_words(search_words, rank) VALUES ('merge', ?)", (-_MERGED_PAGES,))
    changed: int = connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before
    return changed > 1


def count_chunks(connection: Connection, added: dict[int, int]) -> None:
    """So many more or fewer can be found. A generation is a random number: one that was rolled back never comes again.

    Fewer make no row where there is none: that collection was deleted before.
    """
    connection.exec_driver_sql(
        "INSERT INTO search_collections(collection_number, chunk_count, generation) SELECT ?1, ?2, random() "
        "WHERE ?2 > 0 OR EXISTS (SELECT 1 FROM search_collections WHERE collection_number = ?1) "
        "ON CONFLICT DO UPDATE SET chunk_count = chunk_count + excluded.chunk_count, generation = excluded.generation",
        list(added.items()),
    )

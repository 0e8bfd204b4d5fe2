"""The search index in the database: vectors and words, each asked only within a scope.

The scope is part of both queries: vectors lie in one partition per collection and only partitions in scope are read; every
word token begins with its collection's number and only tokens in scope are matched. What lies outside is never scored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from appliance.retrieval.hidden import hidden_ranges, visible
from appliance.retrieval.impacts import IMPACTS, entry_row, passage_tokens, token
from appliance.retrieval.indexes import IndexRecord, all_indexes, forget_document, serving, tables_of
from appliance.retrieval.partitions import Partition, load_partition, packed, signs
from appliance.retrieval.postings import Entries, Key, PostingCache, entries_of
from appliance.retrieval.scores import NONE, STEP_BITS, Scores, joined, summed

VECTOR_CANDIDATES = 256
"""Passages that the scan over bits hands on to exact comparison."""

_MERGED_PAGES = 100
_IMPACTS = np.array(IMPACTS, np.float32)


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
        self._kept: dict[int, Partition] = {}
        self._postings = PostingCache()

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

    def nearest(
        self,
        connection: Connection,
        scope_numbers: Collection[int],
        vector: NDArray[np.float32],
        limit: int,
        *,
        made_by: str = "",
    ) -> Scores:
        """Chunks in scope by cosine: a scan over bits, then the exact order of the best `VECTOR_CANDIDATES`."""
        partitions = self._partitions(connection, scope_numbers, made_by)
        if not partitions:
            return NONE
        asked = signs(vector[None])[0].view(np.uint64)
        distances = [partition.distances(asked) for partition in partitions]
        histogram = sum(np.bincount(part, minlength=64 * asked.size + 1) for part in distances)
        farthest = np.searchsorted(np.cumsum(histogram), max(limit, VECTOR_CANDIDATES))
        found = []
        for partition, part in zip(partitions, distances, strict=True):
            places = np.flatnonzero(part <= farthest)
            found.append(Scores(partition.ids[places], partition.cosines(places, vector)))
        return joined(found).best(limit)

    def similarities(
        self,
        connection: Connection,
        scope_numbers: Collection[int],
        ids: NDArray[np.int64],
        vector: NDArray[np.float32],
        *,
        made_by: str = "",
    ) -> Scores:
        """Cosines of those of `ids` that are in scope with `vector`, in no order."""
        found = []
        for partition in self._partitions(connection, scope_numbers, made_by):
            places = partition.places(ids)
            found.append(Scores(partition.ids[places], partition.cosines(places, vector)))
        return joined(found)

    def matching(self, connection: Connection, scope_numbers: Collection[int], terms: Sequence[str], limit: int) -> Scores:
        """Chunks in scope by BM25 over `terms`, best first."""
        return self.words(connection, scope_numbers, terms).best(limit)

    def words(self, connection: Connection, scope_numbers: Collection[int], terms: Sequence[str]) -> Scores:
        """BM25 of every chunk in scope that holds one of `terms`, in the order of ids; rarity is counted within the scope."""
        return self.weighed_words(connection, scope_numbers, terms)[0]

    def weighed_words(
        self, connection: Connection, scope_numbers: Collection[int], terms: Sequence[str]
    ) -> tuple[Scores, dict[str, float]]:
        """What `words` gives, and how rare each term is in the scope."""
        current = _current(connection, scope_numbers)
        total = sum(count for _, _, count in current)
        if not terms or not total:
            return NONE, {}
        keys: dict[str, list[Key]] = {
            term: [(number, generation, term) for number, generation, _ in current] for term in dict.fromkeys(terms)
        }
        read = self._read_postings(connection, [key for wanted in keys.values() for key in wanted])
        postings, by_step = [], []
        rarities: dict[str, float] = {}
        for term, wanted in keys.items():
            lists = [read[key] for key in wanted if read[key].size]
            rarities[term] = _rarity(sum(entries.size for entries in lists), total)
            postings += lists
            by_step += [rarities[term] * _IMPACTS] * len(lists)
        return (summed(postings, np.stack(by_step)) if postings else NONE), rarities

    def _read_postings(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, Entries]:
        """The posting list of each key, in one statement for those that are not held."""
        read = self._postings.get(keys)
        missing = [key for key in keys if key not in read]
        if missing:
            hidden = hidden_ranges(connection, {number for number, _, _ in missing})
            found = connection.exec_driver_sql(
                # a subquery per row: grouping would sort every posting first
                "SELECT wanted.key, (SELECT group_concat(rowid) FROM search_words WHERE search_words MATCH wanted.value) "
                "FROM json_each(?) AS wanted",
                (json.dumps([f'"{token(number, term)}"' for number, _, term in missing]),),
            ).fetchall()
            for at, entries in found:
                every = entries_of(entries or "")
                read[missing[at]] = every[visible(every >> STEP_BITS, hidden)] if hidden else every
                self._postings.put(missing[at], read[missing[at]])
        return read

    def _partitions(self, connection: Connection, scope_numbers: Collection[int], made_by: str = "") -> list[Partition]:
        """Everything in scope, from memory where the collection has not changed since."""
        index = serving(connection, made_by)
        partitions = []
        for number, generation, _ in _current(connection, scope_numbers):
            kept = self._kept.get(number)
            if kept is None or (kept.index, kept.generation) != (index.number, generation):
                kept = load_partition(connection, index, number, generation)
                self._kept[number] = kept
            partitions.append(kept)
        return partitions


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


def _current(connection: Connection, scope_numbers: Collection[int]) -> list[tuple[int, int, int]]:
    """Number, generation and size of each collection in scope that holds anything."""
    rows = connection.exec_driver_sql(
        "SELECT collection_number, generation, chunk_count FROM search_collections "
        "WHERE collection_number IN (SELECT value FROM json_each(?)) AND chunk_count > 0 ORDER BY collection_number",
        (json.dumps(sorted(scope_numbers)),),
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


def count_chunks(connection: Connection, added: dict[int, int]) -> None:
    """So many more or fewer can be found. A generation is a random number: one that was rolled back never comes again."""
    connection.exec_driver_sql(
        "INSERT INTO search_collections(collection_number, chunk_count, generation) VALUES (?, ?, random()) "
        "ON CONFLICT DO UPDATE SET chunk_count = chunk_count + excluded.chunk_count, generation = excluded.generation",
        list(added.items()),
    )


def _rarity(frequency: int, total: int) -> float:
    return float(np.log1p((total - frequency + 0.5) / (frequency + 0.5)))

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

from appliance.retrieval.impacts import IMPACTS, entry_row, passage_tokens, token

VECTOR_CANDIDATES = 400
"""Passages that the scan over bits hands on to exact comparison."""

_BITS_BYTES = 48
_EXPRESSION_TOKENS = 100  # alternatives of one full-text expression; its parser stops at 256
_IMPACTS = np.array(IMPACTS, np.float32)


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A chunk as the index takes it; `vector` is L2-normalised.

    `tokens` may carry what `passage_tokens` makes of title, heading and text: making them takes longer than storing them, so a
    large document has them made before the transaction that holds the write lock.
    """

    chunk_id: int
    collection_number: int
    title: str
    heading: str
    text: str
    vector: NDArray[np.float32]
    tokens: list[list[str]] | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Chunk ids and their scores, best first."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]

    def of(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of these chunks, 0 for those not here."""
        order = np.argsort(self.ids)
        places = np.searchsorted(self.ids, ids, sorter=order)
        found = np.zeros(ids.size, np.float32)
        inside = places < self.ids.size
        at = order[places[inside]]
        found[inside] = np.where(self.ids[at] == ids[inside], self.scores[at], 0)
        return found


_NONE = Scores(np.empty(0, np.int64), np.empty(0, np.float32))


class SearchIndex:
    """Adds, removes and finds chunks; transactions belong to the caller.

    One may be shared by threads. It keeps the bits of the collections it searched (56 bytes a chunk) until they change.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, NDArray[np.int64], NDArray[np.uint64]]] = {}

    def add(self, connection: Connection, rows: Sequence[IndexRow]) -> None:
        """Index chunks. Their ids must not be in the index yet."""
        if not rows:
            return
        vectors = np.stack([row.vector for row in rows]).astype(np.float32, copy=False)
        bits = np.packbits(vectors > 0, axis=1)
        exact = _quantised(vectors)
        connection.exec_driver_sql(
            "INSERT INTO search_vectors(chunk_id, collection_number, bits) VALUES (?, ?, vec_bit(?))",
            [(row.chunk_id, row.collection_number, bits[at].tobytes()) for at, row in enumerate(rows)],
        )
        connection.exec_driver_sql(
            "INSERT INTO search_exact(chunk_id, vector) VALUES (?, ?)",
            [(row.chunk_id, exact[at]) for at, row in enumerate(rows)],
        )
        connection.exec_driver_sql(
            "INSERT INTO search_words(rowid, tokens) VALUES (?, ?)",
            [
                (entry_row(row.chunk_id, step), " ".join(tokens))
                for row in rows
                for step, tokens in enumerate(_tokens(row))
                if tokens
            ],
        )
        _count(connection, Counter(row.collection_number for row in rows))

    def remove(self, connection: Connection, document_id: str) -> None:
        """Take a document's chunks out of the index. Call it while their rows in `chunks` are still there."""
        indexed = connection.exec_driver_sql(
            "SELECT chunks.id, number FROM chunks JOIN collections ON collections.id = chunks.collection_id "
            "JOIN search_exact ON search_exact.chunk_id = chunks.id WHERE document_id = ?",
            (document_id,),
        ).fetchall()
        if not indexed:
            return
        ids = [(row[0],) for row in indexed]
        connection.exec_driver_sql("DELETE FROM search_vectors WHERE chunk_id = ?", ids)
        connection.exec_driver_sql("DELETE FROM search_exact WHERE chunk_id = ?", ids)
        connection.exec_driver_sql(
            "DELETE FROM search_words WHERE rowid = ?",
            [(entry_row(row[0], step),) for row in indexed for step in range(len(IMPACTS))],
        )
        removed = Counter(row[1] for row in indexed)
        _count(connection, {number: -count for number, count in removed.items()})

    def nearest(self, connection: Connection, scope_numbers: Collection[int], vector: NDArray[np.float32], limit: int) -> Scores:
        """Chunks in scope by cosine: a scan over bits, then the exact order of the best `VECTOR_CANDIDATES`."""
        ids, bits = self._partitions(connection, scope_numbers)
        if not ids.size:
            return _NONE
        asked = np.packbits(vector > 0).view(np.uint64)
        distances = np.bitwise_count(bits ^ asked).sum(axis=1, dtype=np.uint16)
        wanted = max(limit, VECTOR_CANDIDATES)
        if ids.size > wanted:
            ids = ids[np.argpartition(distances, wanted)[:wanted]]
        return _best(*self.similarities(connection, ids, vector), limit)

    def similarities(
        self, connection: Connection, ids: NDArray[np.int64], vector: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Cosines of chunks with `vector`, accurate to 0.001; chunks that are gone are left out."""
        rows = connection.exec_driver_sql(
            "SELECT chunk_id, vector FROM search_exact WHERE chunk_id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids.tolist()),),
        ).fetchall()
        if not rows:
            return _NONE.ids, _NONE.scores
        packed = np.frombuffer(b"".join(row[1] for row in rows), np.int8).reshape(len(rows), -1)
        scales = packed[:, :4].copy().view(np.float32)[:, 0]
        found = np.array([row[0] for row in rows], np.int64)
        return found, (packed[:, 4:].astype(np.float32) @ vector) * scales

    def matching(
        self, connection: Connection, scope_numbers: Collection[int], terms: Sequence[str], limit: int | None = None
    ) -> Scores:
        """Chunks in scope by BM25 over `terms`, best first, all of them without a `limit`; rarity is counted within the scope."""
        total = self._chunk_count(connection, scope_numbers)
        if not terms or not total:
            return _NONE
        numbers = sorted(scope_numbers)
        blocks = [numbers[at : at + _EXPRESSION_TOKENS] for at in range(0, len(numbers), _EXPRESSION_TOKENS)]
        wanted = [
            (at, " OR ".join(f'"{token(number, term)}"' for number in block)) for at, term in enumerate(terms) for block in blocks
        ]
        found = connection.exec_driver_sql(
            "SELECT wanted.key, group_concat(search_words.rowid) FROM json_each(?) AS wanted, search_words "
            "WHERE search_words MATCH wanted.value GROUP BY wanted.key",
            (json.dumps([expression for _, expression in wanted]),),
        ).fetchall()
        if not found:
            return _NONE
        postings = [(wanted[row[0]][0], np.fromstring(row[1], np.int64, sep=",")) for row in found]
        frequencies: Counter[int] = Counter()
        for at, entries in postings:
            frequencies[at] += entries.size
        rarities = np.concatenate(
            [np.full(entries.size, _rarity(frequencies[at], total), np.float32) for at, entries in postings]
        )
        chunk_ids, steps = np.divmod(np.concatenate([entries for _, entries in postings]), len(IMPACTS))
        ids, places = np.unique(chunk_ids, return_inverse=True)
        scores = np.bincount(places, rarities * _IMPACTS[steps]).astype(np.float32)
        return _best(ids, scores, limit or ids.size)

    def _partitions(self, connection: Connection, scope_numbers: Collection[int]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Ids and bits of everything in scope, from memory where the collection has not changed since."""
        current = connection.exec_driver_sql(
            "SELECT collection_number, generation FROM search_collections "
            "WHERE collection_number IN (SELECT value FROM json_each(?)) AND chunk_count > 0",
            (json.dumps(sorted(scope_numbers)),),
        ).fetchall()
        parts = []
        for number, generation in current:
            kept = self._kept.get(number)
            if kept is None or kept[0] != generation:
                kept = (generation, *_partition(connection, number))
                self._kept[number] = kept
            parts.append(kept[1:])
        if not parts:
            return _NONE.ids, np.empty((0, _BITS_BYTES // 8), np.uint64)
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _chunk_count(self, connection: Connection, scope_numbers: Collection[int]) -> int:
        return int(
            connection.exec_driver_sql(
                "SELECT coalesce(sum(chunk_count), 0) FROM search_collections "
                "WHERE collection_number IN (SELECT value FROM json_each(?))",
                (json.dumps(sorted(scope_numbers)),),
            ).scalar_one()
        )


def _partition(connection: Connection, number: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Ids and bits of one collection, as sqlite-vec keeps them.

    Read from the extension's chunk tables (format of 0.1.9, which is pinned; a test compares with its own search): its KNN
    picks k of n in k passes over n, 50 to 120 ms for 400 of 100,000, where reading and counting here takes under 10 ms.
    """
    rows = connection.exec_driver_sql(
        "SELECT validity, rowids, vectors FROM search_vectors_chunks JOIN search_vectors_vector_chunks00 AS stored "
        "ON stored.rowid = search_vectors_chunks.chunk_id WHERE partition00 = ?",
        (number,),
    ).fetchall()
    valid = np.unpackbits(np.frombuffer(b"".join(row[0] for row in rows), np.uint8), bitorder="little").astype(bool)
    ids = np.frombuffer(b"".join(row[1] for row in rows), np.int64)
    bits = np.frombuffer(b"".join(row[2] for row in rows), np.uint64).reshape(-1, _BITS_BYTES // 8)
    return ids[valid], bits[valid]


def _count(connection: Connection, added: dict[int, int]) -> None:
    """A generation is a random number: one that was rolled back never comes again."""
    connection.exec_driver_sql(
        "INSERT INTO search_collections(collection_number, chunk_count, generation) VALUES (?, ?, random()) "
        "ON CONFLICT DO UPDATE SET chunk_count = chunk_count + excluded.chunk_count, generation = excluded.generation",
        list(added.items()),
    )


def _tokens(row: IndexRow) -> list[list[str]]:
    if row.tokens is not None:
        return row.tokens
    return passage_tokens(row.collection_number, row.title, row.heading, row.text)


def _quantised(vectors: NDArray[np.float32]) -> list[bytes]:
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12).astype(np.float32) / 127
    rounded = np.rint(vectors / scales[:, None]).astype(np.int8)
    return [scale.tobytes() + row.tobytes() for scale, row in zip(scales, rounded, strict=True)]


def _rarity(frequency: int, total: int) -> float:
    return float(np.log1p((total - frequency + 0.5) / (frequency + 0.5)))


def _best(ids: NDArray[np.int64], scores: NDArray[np.float32], limit: int) -> Scores:
    """Ties go to the older chunk, so that the same search gives the same answer twice."""
    if ids.size > 4 * limit:
        threshold = np.partition(scores, ids.size - limit)[ids.size - limit]
        kept = np.flatnonzero(scores >= threshold)
        ids, scores = ids[kept], scores[kept]
    order = np.lexsort((ids, -scores))[:limit]
    return Scores(ids[order], scores[order])

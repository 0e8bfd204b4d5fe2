"""The vectors of one collection in memory: bits for the scan over all of it, int8 for the exact order of what the scan found.

Every commit of any process empties SQLite's page caches, and decrypting pages costs more than comparing what stands on them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from appliance.retrieval.hidden import Range, visible
from appliance.retrieval.indexes import IndexRecord, padded, tables_of


@dataclass(frozen=True, slots=True)
class Partition:
    """One collection as it was at `generation` in the index with this number, its `ids` in ascending order.

    `bits` are the signs of the vectors, by words of 64 dimensions, each word contiguous; `exact` times `scales` are the vectors.
    """

    index: int
    generation: int
    ids: NDArray[np.int64]
    bits: NDArray[np.uint64]
    exact: NDArray[np.int8]
    scales: NDArray[np.float32]

    def distances(self, asked: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """Bits that differ from the question's, for each chunk."""
        total, differing = np.zeros(self.ids.size, np.uint16), np.empty(self.ids.size, np.uint64)
        for word, bits in zip(asked, self.bits, strict=True):
            total += np.bitwise_count(np.bitwise_xor(bits, word, out=differing))
        return total

    def cosines(self, places: NDArray[np.intp], vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines of the chunks at these places with `vector`, accurate to 0.001."""
        compared: NDArray[np.float32] = (self.exact[places].astype(np.float32) @ vector) * self.scales[places]
        return compared

    def places(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where those of `ids` stand that are in this collection."""
        if not self.ids.size:
            return np.empty(0, np.intp)
        at = np.minimum(np.searchsorted(self.ids, ids), self.ids.size - 1)
        present: NDArray[np.intp] = at[self.ids[at] == ids]
        return present


def load_partition(
    connection: Connection, index: IndexRecord, number: int, generation: int, hidden: Sequence[Range]
) -> Partition:
    """Ids and bits as sqlite-vec keeps them, and the exact vectors.

    Read from the extension's chunk tables (format of 0.1.9, which is pinned; a test compares with its own search): its KNN
    picks k of n in k passes over n, 30 to 60 ms for 200 of 100,000, where reading and counting here takes under 10 ms.
    """
    stored_in = tables_of(index.number).vectors
    rows = connection.exec_driver_sql(
        f"SELECT validity, rowids, vectors FROM {stored_in}_chunks AS parts JOIN {stored_in}_vector_chunks00 AS stored "
        "ON stored.rowid = parts.chunk_id WHERE partition00 = ?",
        (number,),
    ).fetchall()
    valid = np.unpackbits(np.frombuffer(b"".join(row[0] for row in rows), np.uint8), bitorder="little").astype(bool)
    ids = np.frombuffer(b"".join(row[1] for row in rows), np.int64)[valid]
    bits = np.frombuffer(b"".join(row[2] for row in rows), np.uint64).reshape(-1, padded(index.dimensions) // 64)[valid]
    shown = visible(ids, hidden)
    ids, bits = ids[shown], bits[shown]
    order = np.argsort(ids)
    exact, scales = _exact(connection, index, ids[order])
    return Partition(index.number, generation, ids[order], np.ascontiguousarray(bits[order].T), exact, scales)


def _exact(connection: Connection, index: IndexRecord, ids: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    rows = connection.exec_driver_sql(
        f"SELECT vector FROM json_each(?) AS wanted JOIN {tables_of(index.number).exact} ON chunk_id = wanted.value "
        "ORDER BY chunk_id",
        (json.dumps(ids.tolist()),),
    ).fetchall()
    packed = np.frombuffer(b"".join(row[0] for row in rows), np.int8).reshape(ids.size, 4 + index.dimensions)
    return np.ascontiguousarray(packed[:, 4:]), packed[:, :4].copy().view(np.float32)[:, 0]


def signs(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The signs of vectors, one a row, as bits filled up to whole words."""
    bits = np.packbits(vectors > 0, axis=1)
    return np.pad(bits, ((0, 0), (0, padded(vectors.shape[1]) // 8 - bits.shape[1])))


def packed(vectors: NDArray[np.float32]) -> list[bytes]:
    """Each vector as its scale and int8 values, the form that `search_exact` holds."""
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12).astype(np.float32) / 127
    rounded = np.rint(vectors / scales[:, None]).astype(np.int8)
    return [scale.tobytes() + row.tobytes() for scale, row in zip(scales, rounded, strict=True)]

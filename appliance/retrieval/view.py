"""What one search sees of the index: the collections in its scope, as they are in one snapshot of the database.

The scope is part of both queries: vectors lie in one partition per collection and only partitions in scope are read; every
word token begins with its collection's number and only tokens in scope are matched. What lies outside is never scored.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from appliance.retrieval.hidden import Range
from appliance.retrieval.impacts import IMPACTS
from appliance.retrieval.indexes import IndexRecord, numbered, serving
from appliance.retrieval.partitions import Partition, load_partition, signs
from appliance.retrieval.postings import Entries, Key, PostingCache
from appliance.retrieval.scores import NONE, Scores, joined, summed
from appliance.retrieval.stored_postings import read_postings, stored_postings

VECTOR_CANDIDATES = 256
"""Passages that the scan over bits hands on to exact comparison."""

_IMPACTS = np.array(IMPACTS, np.float32)


@dataclass(frozen=True, slots=True)
class Held:
    """What stays in memory from one search to the next: vectors by collection, and the posting lists used last."""

    partitions: dict[int, Partition] = field(default_factory=dict)
    postings: PostingCache = field(default_factory=PostingCache)


class _Current(NamedTuple):
    """A collection as it is now: `passages` of it can be found, those in `hidden` cannot."""

    number: int
    generation: int
    passages: int
    hidden: list[Range]


class IndexView:
    """Asked while the transaction of `connection` lasts; it looks up once what is there, whatever it is asked."""

    def __init__(
        self, connection: Connection, scope_numbers: Collection[int], made_by: str, held: Held, number: int | None = None
    ) -> None:
        """Of the index with this number, the serving one where None. Raises `EmbedderChanged` unless `made_by` made it."""
        self.connection = connection
        self.scope_numbers = scope_numbers
        self.index: IndexRecord = serving(connection, made_by) if number is None else numbered(connection, number, made_by)
        self._current = _current(connection, scope_numbers)
        self._held = held

    def nearest(self, vector: NDArray[np.float32], limit: int) -> Scores:
        """Chunks in scope by cosine: a scan over bits, then the exact order of the best `VECTOR_CANDIDATES`."""
        partitions = self.partitions()
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

    def similarities(self, ids: NDArray[np.int64], vector: NDArray[np.float32]) -> Scores:
        """Cosines of those of `ids` that are in scope with `vector`, in no order."""
        found = []
        for partition in self.partitions():
            places = partition.places(ids)
            found.append(Scores(partition.ids[places], partition.cosines(places, vector)))
        return joined(found)

    def matching(self, terms: Sequence[str], limit: int) -> Scores:
        """Chunks in scope by BM25 over `terms`, best first."""
        return self.words(terms)[0].best(limit)

    def words(self, terms: Sequence[str]) -> tuple[Scores, dict[str, float]]:
        """BM25 of every chunk in scope that holds one of `terms`, in the order of ids, and how rare each term is in the scope."""
        total = sum(collection.passages for collection in self._current)
        if not terms or not total:
            return NONE, {}
        keys: dict[str, list[Key]] = {
            term: [(collection.number, collection.generation, term) for collection in self._current]
            for term in dict.fromkeys(terms)
        }
        read = self._read_postings([key for wanted in keys.values() for key in wanted])
        postings, by_step = [], []
        rarities: dict[str, float] = {}
        for term, wanted in keys.items():
            lists = [read[key] for key in wanted if read[key].size]
            rarities[term] = _rarity(sum(entries.size for entries in lists), total)
            postings += lists
            by_step += [rarities[term] * _IMPACTS] * len(lists)
        return (summed(postings, by_step) if postings else NONE), rarities

    def _read_postings(self, keys: Sequence[Key]) -> dict[Key, Entries]:
        """The posting list of each key: from memory, else as it is stored in one piece, else from the full-text index."""
        read = self._held.postings.get(keys)
        missing = [key for key in keys if key not in read]
        if missing:
            found = stored_postings(self.connection, missing)
            short = [key for key in missing if key not in found]
            if short:
                hidden = [part for collection in self._current for part in collection.hidden]
                found |= zip(short, read_postings(self.connection, short, hidden), strict=True)
            for key, entries in found.items():
                self._held.postings.put(key, entries)
            read |= found
        return read

    def partitions(self) -> list[Partition]:
        """Everything in scope, from memory where the collection has not changed since."""
        partitions = []
        for number, generation, _, hidden in self._current:
            kept = self._held.partitions.get(number)
            if kept is None or (kept.index, kept.generation) != (self.index.number, generation):
                kept = load_partition(self.connection, self.index, number, generation, hidden)
                self._held.partitions[number] = kept
                self._let_go()
            partitions.append(kept)
        return partitions

    def _let_go(self) -> None:
        """Drop what memory holds of collections that were deleted: no scope asks for them again."""
        there = set(self.connection.exec_driver_sql("SELECT collection_number FROM search_collections").scalars())
        for number in set(self._held.partitions) - there:
            self._held.partitions.pop(number, None)


def _current(connection: Connection, scope_numbers: Collection[int]) -> list[_Current]:
    """The collections in scope that hold anything."""
    rows = connection.exec_driver_sql(
        "SELECT collection_number, generation, chunk_count, (SELECT json_group_array(json_array(first, last)) "
        "FROM search_hidden WHERE search_hidden.collection_number = search_collections.collection_number) "
        "FROM search_collections "
        "WHERE collection_number IN (SELECT value FROM json_each(?)) AND chunk_count > 0 ORDER BY collection_number",
        (json.dumps(sorted(scope_numbers)),),
    ).fetchall()
    return [_Current(row[0], row[1], row[2], json.loads(row[3])) for row in rows]


def _rarity(frequency: int, total: int) -> float:
    return float(np.log1p((total - frequency + 0.5) / (frequency + 0.5)))

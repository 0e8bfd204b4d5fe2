"""Chunks with their scores, and what posting lists add up to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.retrieval.impacts import IMPACTS
from appliance.retrieval.postings import STEP_BITS, Entries

_STEP = len(IMPACTS) - 1
_DENSE_SPREAD = 2_000_000


@dataclass(frozen=True, slots=True)
class Scores:
    """Chunk ids and their scores; best first or in the order of ids, as the function says that gives them."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]

    def best(self, limit: int) -> Scores:
        """The highest `limit`, best first. Ties go to the older chunk, so that the same search gives the same answer twice."""
        ids, scores = self.ids, self.scores
        if ids.size > 2 * limit:
            threshold = np.partition(scores, ids.size - limit)[ids.size - limit]
            kept = np.flatnonzero(scores >= threshold)
            ids, scores = ids[kept], scores[kept]
        order = np.lexsort((ids, -scores))[:limit]
        return Scores(ids[order], scores[order])

    def in_order(self) -> Scores:
        """The same in the order of ids."""
        order = np.argsort(self.ids)
        return Scores(self.ids[order], self.scores[order])

    def of(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of these chunks, 0 for those not here; for scores in the order of ids."""
        if not self.ids.size:
            return np.zeros(ids.size, np.float32)
        places = np.minimum(np.searchsorted(self.ids, ids), self.ids.size - 1)
        return np.where(self.ids[places] == ids, self.scores[places], np.float32(0))


NONE = Scores(np.empty(0, np.int64), np.empty(0, np.float32))


def joined(parts: Sequence[Scores]) -> Scores:
    """One after another, in no order."""
    if not parts:
        return NONE
    return Scores(np.concatenate([part.ids for part in parts]), np.concatenate([part.scores for part in parts]))


def summed(postings: Sequence[Entries], by_step: Sequence[NDArray[np.float32]]) -> Scores:
    """One score per chunk, in the order of ids: what each posting list's row of `by_step` says of the chunk's step, added up.

    No list is empty, and none holds a chunk twice.
    """
    low = min(int(entries[0]) for entries in postings) >> STEP_BITS
    high = max(int(entries[-1]) for entries in postings) >> STEP_BITS
    ids = [(entries >> STEP_BITS).astype(np.intp) - low for entries in postings]
    weights = [row.take(entries & _STEP) for entries, row in zip(postings, by_step, strict=True)]
    if high - low > _DENSE_SPREAD:
        distinct, places = np.unique(np.concatenate(ids), return_inverse=True)
        return Scores(distinct + low, np.bincount(places, np.concatenate(weights)).astype(np.float32))
    # ids lie close together: adding into an array is several times faster than sorting
    sums = np.zeros(high - low + 1, np.float32)
    for places, weight in zip(ids, weights, strict=True):
        sums[places] += weight
    found = np.flatnonzero(sums != 0)  # of truth values, which takes a tenth of the time that it takes of numbers
    return Scores(found + low, sums.take(found))

"""Chunks with their scores, and what posting lists add up to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.retrieval.impacts import IMPACTS
from appliance.retrieval.postings import Entries

STEP_BITS = 2
"""Of an entry of a posting list; the rest is the chunk's id."""

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


def summed(postings: Sequence[Entries], by_step: NDArray[np.float32]) -> Scores:
    """One score per chunk, in the order of ids: what each posting list's row of `by_step` says of the chunk's step, added up."""
    entries = np.concatenate(postings)
    lists = np.repeat(np.arange(len(postings)), [len(part) for part in postings])
    ids, steps = (entries >> STEP_BITS).astype(np.int64), entries & (len(IMPACTS) - 1)
    weights = by_step[lists, steps]
    low = int(ids.min())
    spread = int(ids.max()) - low + 1
    if spread > _DENSE_SPREAD:
        distinct, places = np.unique(ids, return_inverse=True)
        return Scores(distinct, np.bincount(places, weights).astype(np.float32))
    # ids lie close together: counting into an array is several times faster than sorting
    sums = np.bincount(ids - low, weights)
    found = np.flatnonzero(sums)
    return Scores(found + low, sums[found].astype(np.float32))

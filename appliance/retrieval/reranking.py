"""The second stage of ranking: what is too dear for all passages, asked of the best of the first stage.

The score is linear in six things, each about 0 to 1 whatever the question, so that no ranking has to be stretched first. Its
weights were fitted on COVID-QA (softmax over the candidates of a question); on articles that the fit had not seen they rank as
well (`docs/decisions.md`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.retrieval.closeness import closeness
from appliance.retrieval.indexes import FIRST, tables_of
from appliance.retrieval.pieces import likeness, piece_weights
from appliance.retrieval.terms import index_terms, question_terms
from appliance.retrieval.view import IndexView

_TRUSTED_FERTILITY, _WEAK_FERTILITY = 1.6, 2.4
_LEAST_TRUST = 0.25

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each part of the score counts."""

    words: float
    similarity: float
    neighbours: float
    window: float
    together: float
    pieces: float


WEIGHTS = Weights(words=1.2, similarity=3.2, neighbours=3.0, window=2.6, together=3.2, pieces=25.7)
WITHOUT_PIECES = Weights(words=2.5, similarity=6.5, neighbours=3.0, window=5.0, together=4.0, pieces=0.0)
"""Where the embedder gives no vectors of pieces, or did not yet when the passages were indexed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is compared: its text, its terms with their rarity in the scope, its pieces and where they stand."""

    text: str
    rarities: Mapping[str, float]
    pieces: Floats
    spans: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage of the first stage. `before` and `after` are the ids of its neighbours in its document, itself at the ends."""

    chunk_id: int
    before: int
    after: int
    text: str
    token_count: int
    signs: bytes


def read_candidates(view: IndexView, ids: NDArray[np.int64]) -> list[Candidate]:
    """Those of `ids` that are in scope, in their order. Chunks of a document have ids that count on (`documents/store.py`)."""
    tables = tables_of(view.index.number)
    counted = f"coalesce((SELECT token_count FROM {tables.exact} WHERE chunk_id = chunks.id), chunks.token_count)"
    length = "chunks.token_count" if view.index.number == FIRST else counted  # what need not be looked up costs no page
    rows = view.connection.exec_driver_sql(
        f"SELECT chunks.id, ordinal > 0, ordinal + 1 < documents.chunk_count, text, {length}, signs "
        "FROM json_each(?) AS wanted JOIN chunks ON chunks.id = wanted.value JOIN documents ON documents.id = chunks.document_id "
        f"JOIN collections ON collections.id = chunks.collection_id LEFT JOIN {tables.pieces} AS pieces "
        "ON pieces.chunk_id = chunks.id "
        "WHERE collections.number IN (SELECT value FROM json_each(?)) ORDER BY wanted.key",
        (json.dumps(ids.tolist()), json.dumps(sorted(view.scope_numbers))),
    ).fetchall()
    return [Candidate(row[0], row[0] - row[1], row[0] + row[2], row[3], row[4], row[5] or b"") for row in rows]


def rerank(asked: Asked, candidates: Sequence[Candidate], words: Floats, similarities: Floats, neighbours: Floats) -> Floats:
    """Scores of the candidates, given their BM25, their cosines and the better cosine of each one's neighbours."""
    total = sum(asked.rarities.values()) or 1.0
    near = np.array([closeness(asked.rarities, index_terms(item.text)) for item in candidates], np.float32).reshape(-1, 2)
    met = _likeness(asked, candidates)
    weights = WITHOUT_PIECES if met is None else WEIGHTS
    trust = 1.0 if met is None else embedder_trust(candidates)
    scores: Floats = weights.words * words / np.float32(total)
    scores += np.float32(trust) * (weights.similarity * similarities + weights.neighbours * neighbours)
    scores += weights.window * near[:, 0] + weights.together * near[:, 1]
    return scores if met is None else scores + weights.pieces * met


class Passage(Protocol):
    """What tells how well the embedder knows the language of a text."""

    @property
    def text(self) -> str: ...

    @property
    def token_count(self) -> int: ...


def embedder_trust(candidates: Sequence[Passage]) -> float:
    """How far the cosines of whole passages are believed, 0.25 to 1, by the embedder's tokens per word of these passages.

    An embedder cuts what it learnt little of into many pieces: 1.3 to 1.5 a word in English, 1.9 in Spanish, 2.0 in Portuguese,
    2.4 in German. There its vectors of whole passages say little; the comparison by pieces stays useful, and takes their place.
    """
    fertility = sum(item.token_count for item in candidates) / max(1, sum(len(item.text.split()) for item in candidates))
    share = (_WEAK_FERTILITY - fertility) / (_WEAK_FERTILITY - _TRUSTED_FERTILITY)
    return min(1.0, max(_LEAST_TRUST, share))


def _likeness(asked: Asked, candidates: Sequence[Candidate]) -> Floats | None:
    """By pieces, for all candidates; one whose pieces are not stored counts like the middle one, none stored is `None`."""
    stored = [at for at, item in enumerate(candidates) if item.signs]
    if not stored or not asked.pieces.size:
        return None
    weights = piece_weights(asked.text, asked.spans, lambda word: _rarity(word, asked.rarities))
    met = likeness(asked.pieces, weights, [candidates[at].signs for at in stored])
    every = np.full(len(candidates), np.median(met), np.float32)
    every[stored] = met
    return every


def _rarity(word: str, rarities: Mapping[str, float]) -> float:
    return max((rarities.get(term, 0.0) for term in question_terms(word)), default=0.0)

"""One search: the caller's scope, vectors and words fused, and the best of them compared more closely."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, select

from appliance.errors import Denied
from appliance.identity.models import Principal
from appliance.inference.runtime import Embeds, model_digest
from appliance.policy.actions import Action
from appliance.policy.scope import NOTHING, Scope
from appliance.retrieval.fusion import fuse
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.indexes import FIRST, EmbedderChanged, serving, tables_of
from appliance.retrieval.models import Hit
from appliance.retrieval.pieces import embedded
from appliance.retrieval.reranking import Asked, read_candidates, rerank
from appliance.retrieval.terms import question_terms
from appliance.storage.database import Database
from appliance.storage.tables import chunks, collections, documents

CANDIDATES = 100
"""Taken from each of the two rankings: together they hold the answer nearly always, further down they hold noise."""

RERANKED = 50
"""The best of the first stage, which the second one orders."""

_USUAL = slice(10, 30)
_FEW, _USUAL_OF_FEW = 4, 9.0  # measured in sets of four to 150 passages: 7 to 12

_HITS = (  # built once: building it takes as long as running it
    select(chunks, documents.c.name)
    .join(documents, documents.c.id == chunks.c.document_id)
    .where(chunks.c.id.in_(bindparam("ids", expanding=True)), chunks.c.collection_id.in_(bindparam("scope", expanding=True)))
)


class _Access(Protocol):
    def scope(self, principal: Principal, action: Action) -> Scope: ...


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates of one search, best first, with the scores they were ranked by."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    similarities: NDArray[np.float32]
    words: NDArray[np.float32]


class Search:
    """Finds passages for a person; there is no way to search without one."""

    def __init__(
        self,
        database: Database,
        access: _Access,
        embedder_factory: Callable[[], Embeds],
        index: SearchIndex | None = None,
        *,
        reranked: int = RERANKED,
    ) -> None:
        """`embedder_factory` gives the embedder of the serving index, and is called per search; 0 `reranked` is fusion alone."""
        self._database = database
        self._access = access
        self._embedder = embedder_factory
        self._index = index or SearchIndex()
        self._reranked = reranked

    def search(self, principal: Principal, query: str, limit: int, *, collection_id: str | None = None) -> list[Hit]:
        """The best `limit` chunks this person may read, best first. Raises `Denied` without a principal."""
        if not isinstance(principal, Principal):
            raise Denied("A search needs a person.", code="search.no_principal")
        scope = self._access.scope(principal, Action.DOCUMENT_READ)
        if collection_id is not None:
            scope = self._narrowed(scope, collection_id)
        if not scope.numbers or limit < 1 or not query.strip():
            return []
        ranking = self.rank(scope.numbers, query)
        return self._hits(scope, ranking, limit)

    def rank(self, scope_numbers: Collection[int], query: str) -> Ranking:
        """Both rankings over the scope, fused. One after the other: side by side they take turns at the interpreter's lock.

        A question that was embedded just before the model was changed is embedded once more. Raises `EmbedderChanged`.
        """
        try:
            return self._rank(scope_numbers, query)
        except EmbedderChanged:
            return self._rank(scope_numbers, query)

    def _rank(self, scope_numbers: Collection[int], query: str) -> Ranking:
        embedder = self._embedder()
        question, made_by = embedded(embedder, [query])[0], model_digest(embedder)
        vector = question.vector
        # one snapshot: the index that is found here is the one that answers, whatever is changed meanwhile
        with self._database.read() as connection:
            near = self._index.nearest(connection, scope_numbers, vector, CANDIDATES, made_by=made_by)
            words, rarities = self._index.weighed_words(connection, scope_numbers, question_terms(query))
            missing = np.setdiff1d(words.best(CANDIDATES).ids, near.ids)
            more = self._index.similarities(connection, scope_numbers, missing, vector, made_by=made_by)
            ids = np.concatenate([near.ids, more.ids])
            similarities = np.concatenate([near.scores, more.scores])
            word_scores = words.of(ids)
            scores = fuse(similarities, word_scores)
            order = np.lexsort((ids, -scores))
            ranking = Ranking(ids[order], scores[order], similarities[order], word_scores[order])
            if not self._reranked or not ids.size:
                return ranking
            asked = Asked(query, rarities, question.pieces, question.spans)
            return self._closer(connection, scope_numbers, ranking, asked, vector=vector, made_by=made_by)

    def _closer(
        self,
        connection: Connection,
        scope_numbers: Collection[int],
        first: Ranking,
        asked: Asked,
        *,
        vector: NDArray[np.float32],
        made_by: str,
    ) -> Ranking:
        """The best of `first` in the order of the second stage; the others follow as they were."""
        candidates = read_candidates(connection, scope_numbers, first.ids[: self._reranked])
        if not candidates:
            return first
        beside = np.array([[item.before, item.after] for item in candidates])
        known = self._index.similarities(connection, scope_numbers, np.unique(beside), vector, made_by=made_by).in_order()
        chunk_ids = np.array([item.chunk_id for item in candidates])
        places = np.flatnonzero(np.isin(first.ids, chunk_ids))
        own = chunk_ids[:, None] == beside
        neighbours = np.where(own, np.float32(0), known.of(beside.ravel()).reshape(beside.shape)).max(axis=1)
        scores = rerank(asked, candidates, first.words[places], first.similarities[places], neighbours)
        rest = np.setdiff1d(np.arange(first.ids.size), places)
        # of one scale with the others, and below them
        below = first.scores[rest] - first.scores[rest].max(initial=0) + scores.min() - 1
        every, at = np.concatenate([scores, below]), np.concatenate([places, rest])
        order = np.lexsort((first.ids[at], -every))
        at = at[order]
        return Ranking(first.ids[at], every[order], first.similarities[at], first.words[at])

    def _narrowed(self, scope: Scope, collection_id: str) -> Scope:
        if collection_id not in scope.collection_ids:
            return NOTHING
        with self._database.read() as connection:
            number = connection.execute(select(collections.c.number).where(collections.c.id == collection_id)).scalar()
        return Scope(frozenset({collection_id}), frozenset() if number is None else scope.numbers & {number})

    def _hits(self, scope: Scope, ranking: Ranking, limit: int) -> list[Hit]:
        """The rows behind the best candidates, asked for within the scope once more."""
        places = {int(chunk_id): at for at, chunk_id in enumerate(ranking.ids[:limit])}
        usual = _usual(ranking.scores)
        with self._database.read() as connection:
            rows = connection.execute(_HITS, {"ids": list(places), "scope": list(scope.collection_ids)}).all()
            counted = _counted(connection, list(places))
        return [
            Hit(
                chunk_id=row.id,
                document_id=row.document_id,
                document_name=row.name,
                collection_id=row.collection_id,
                page=row.page,
                start=row.start,
                end=row.end,
                heading=row.heading,
                text=row.text,
                token_count=counted.get(row.id, row.token_count),
                score=float(ranking.scores[places[row.id]]),
                similarity=float(ranking.similarities[places[row.id]]),
                words_score=float(ranking.words[places[row.id]]),
                lead=float(ranking.scores[places[row.id]]) - usual,
            )
            for row in sorted(rows, key=lambda row: places[row.id])
        ]


def _counted(connection: Connection, chunk_ids: list[int]) -> dict[int, int]:
    """Lengths in the tokens of the serving index's model, of passages that were divided by another one's."""
    index = serving(connection)
    if index.number == FIRST:
        return {}
    rows = connection.exec_driver_sql(
        f"SELECT chunk_id, token_count FROM {tables_of(index.number).exact} "
        "WHERE chunk_id IN (SELECT value FROM json_each(?)) AND token_count IS NOT NULL",
        (json.dumps(chunk_ids),),
    )
    return {row[0]: row[1] for row in rows}


def _usual(scores: NDArray[np.float32]) -> float:
    """What passages that answer nothing score for this question: more in a large collection, or where everything is on topic.

    Where there are fewer passages the last stands for those that are missing, and among very few none need be such a passage.
    """
    best = scores[: _USUAL.stop]
    filler = best[-1] if best.size >= _FEW else _USUAL_OF_FEW
    return float(np.concatenate([best, np.full(_USUAL.stop - best.size, filler, np.float32)])[_USUAL].mean())

"""One search: the caller's scope, vectors and words fused, and the best of them compared more closely."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, select

from appliance.errors import Denied
from appliance.identity.models import Principal
from appliance.inference.runtime import EmbeddedText, Embeds, model_digest
from appliance.policy.actions import Action
from appliance.policy.scope import NOTHING, Scope
from appliance.retrieval.fusion import fuse
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.indexes import FIRST, EmbedderChanged, tables_of
from appliance.retrieval.models import Hit
from appliance.retrieval.pieces import embedded_question
from appliance.retrieval.reranking import Asked, read_candidates, rerank
from appliance.retrieval.terms import question_terms
from appliance.retrieval.view import IndexView
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


_Read = TypeVar("_Read")


class _Access(Protocol):
    def scope(self, principal: Principal, action: Action) -> Scope: ...


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates of one search, best first, with the scores they were ranked by."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    similarities: NDArray[np.float32]
    words: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Question:
    text: str
    embedded: EmbeddedText


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
        number: int | None = None,
    ) -> None:
        """`embedder_factory` gives the embedder of the serving index, and is called per search; 0 `reranked` is fusion alone.

        With a `number` it is the index of that number that is asked, and the embedder is that one's.
        """
        self._database = database
        self._access = access
        self._embedder = embedder_factory
        self._index = index or SearchIndex()
        self._reranked = reranked
        self._number = number

    def search(self, principal: Principal, query: str, limit: int, *, collection_id: str | None = None) -> list[Hit]:
        """The best `limit` chunks this person may read, best first. Raises `Denied` without a principal."""
        if not isinstance(principal, Principal):
            raise Denied("A search needs a person.", code="search.no_principal")
        scope = self._access.scope(principal, Action.DOCUMENT_READ)
        if collection_id is not None:
            scope = self._narrowed(scope, collection_id)
        if not scope.numbers or limit < 1 or not query.strip():
            return []
        return self._with_view(scope.numbers, query, lambda view, asked: _hits(view, scope, self._ranked(view, asked), limit))

    def rank(self, scope_numbers: Collection[int], query: str) -> Ranking:
        """Both rankings over the scope, fused, and their best compared more closely. Raises `EmbedderChanged`."""
        return self._with_view(scope_numbers, query, self._ranked)

    def _with_view(self, scope_numbers: Collection[int], query: str, read: Callable[[IndexView, _Question], _Read]) -> _Read:
        """What `read` makes of one snapshot: the index found there is the one that answers, whatever is changed meanwhile.

        A question that was embedded just before the model was changed is embedded once more.
        """
        try:
            return self._with_view_once(scope_numbers, query, read)
        except EmbedderChanged:
            return self._with_view_once(scope_numbers, query, read)

    def _with_view_once(self, scope_numbers: Collection[int], query: str, read: Callable[[IndexView, _Question], _Read]) -> _Read:
        embedder = self._embedder()
        asked = _Question(query, embedded_question(embedder, query))
        with self._database.read() as connection:
            return read(self._index.view(connection, scope_numbers, made_by=model_digest(embedder), number=self._number), asked)

    def _ranked(self, view: IndexView, asked: _Question) -> Ranking:
        """Vectors and words one after the other: side by side they take turns at the interpreter's lock."""
        vector = asked.embedded.vector
        near = view.nearest(vector, CANDIDATES)
        words, rarities = view.words(question_terms(asked.text))
        missing = np.setdiff1d(words.best(CANDIDATES).ids, near.ids)
        more = view.similarities(missing, vector)
        ids = np.concatenate([near.ids, more.ids])
        similarities = np.concatenate([near.scores, more.scores])
        word_scores = words.of(ids)
        scores = fuse(similarities, word_scores)
        order = np.lexsort((ids, -scores))
        ranking = Ranking(ids[order], scores[order], similarities[order], word_scores[order])
        if not self._reranked or not ids.size:
            return ranking
        return self._closer(view, ranking, asked, rarities)

    def _closer(self, view: IndexView, first: Ranking, asked: _Question, rarities: dict[str, float]) -> Ranking:
        """The best of `first` in the order of the second stage; the others follow as they were."""
        candidates = read_candidates(view, first.ids[: self._reranked])
        if not candidates:
            return first
        beside = np.array([[item.before, item.after] for item in candidates])
        known = view.similarities(np.unique(beside), asked.embedded.vector).in_order()
        chunk_ids = np.array([item.chunk_id for item in candidates])
        places = np.flatnonzero(np.isin(first.ids, chunk_ids))
        own = chunk_ids[:, None] == beside
        neighbours = np.where(own, np.float32(0), known.of(beside.ravel()).reshape(beside.shape)).max(axis=1)
        compared = Asked(asked.text, rarities, asked.embedded.pieces, asked.embedded.spans)
        scores = rerank(compared, candidates, first.words[places], first.similarities[places], neighbours)
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


def _hits(view: IndexView, scope: Scope, ranking: Ranking, limit: int) -> list[Hit]:
    """The rows behind the best candidates, asked for within the scope once more."""
    places = {int(chunk_id): at for at, chunk_id in enumerate(ranking.ids[:limit])}
    usual = _usual(ranking.scores)
    rows = view.connection.execute(_HITS, {"ids": list(places), "scope": list(scope.collection_ids)}).all()
    counted = _counted(view, list(places))
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


def _counted(view: IndexView, chunk_ids: list[int]) -> dict[int, int]:
    """Lengths in the tokens of the serving index's model, of passages that were divided by another one's."""
    if view.index.number == FIRST:
        return {}
    rows = view.connection.exec_driver_sql(
        f"SELECT chunk_id, token_count FROM {tables_of(view.index.number).exact} "
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

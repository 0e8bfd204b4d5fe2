"""Makes the index anew with another embedding model, behind the one that serves, and lets it take its place.

Everything is read off the rows: which index is building, which documents it holds, how far it is within one. So the work can be
killed at any moment and goes on from the last batch. What was uploaded meanwhile is found like all other documents that the new
index does not hold yet, and the switch happens in a transaction that finds none. Before it the golden sets are asked in both
indexes; where they speak against the new one it is kept as it is, and the old one goes on. Documents that were indexed before
word pieces were stored get them by the same pass, in the serving index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.documents.chunking import searchable_text
from appliance.documents.windows import PassageEmbedder, embedded_whole
from appliance.errors import ApplianceError
from appliance.identity.models import SYSTEM
from appliance.identity.store import load_principal
from appliance.inference.runtime import Embeds, model_digest
from appliance.inference.store import records
from appliance.inference.store.versions import VersionState
from appliance.retrieval import indexes
from appliance.retrieval.index import IndexRow, store_pieces, store_vectors
from appliance.retrieval.indexes import IndexRecord, IndexState, Judgement, Outstanding, tables_of
from appliance.retrieval.pieces import packed_pieces
from appliance.storage.database import Database

BATCH = 64
"""Passages between two looks at whether somebody waits; half a second of embedding and one short transaction."""

_PASSING = frozenset({"inference.unreachable", "inference.busy", "inference.timeout", "inference.died"})
"""Of a model inside a server: it may be there again in a moment."""

log = structlog.get_logger(__name__)


class Dimensioned(PassageEmbedder, Protocol):
    """An embedder that can fill an index."""

    @property
    def dimensions(self) -> int:
        """Length of its vectors."""


class EmbedderPool(Protocol):
    """What is needed of `inference.embedders.Embedders`."""

    def serving(self) -> Dimensioned: ...

    def coming(self, model_id: str) -> Dimensioned: ...

    def release(self) -> None: ...


class IndexExamination(Protocol):
    """What golden sets say of an index that holds everything: `administration.golden.index_trial.IndexTrial`."""

    def judge(self, connection: Connection, index: IndexRecord) -> Judgement: ...

    def compare(self, index: IndexRecord, serving: Callable[[], Embeds], coming: Embeds, make_way: Callable[[], bool]) -> bool:
        """Ask what is not asked; False where somebody waits."""


class Superseded(Exception):
    """Raised inside the work when its index was abandoned; never reaches a person."""


@dataclass(frozen=True, slots=True)
class _Passage:
    chunk_id: int
    collection_number: int
    text: str


class Reembedding:
    """The work on indexes that are not as they should be. One process at a time does it; for workers, not for people."""

    def __init__(
        self, database: Database, audit: AuditLog, embedders: Callable[[], EmbedderPool], golden: IndexExamination
    ) -> None:
        self._database = database
        self._audit = audit
        self._embedders = embedders
        self._golden = golden

    def pending_ids(self) -> list[str]:
        """Numbers of the indexes with which something is left to do."""
        with self._database.read() as connection:
            index = indexes.building(connection)
            waiting = str(index.number) if index is not None and self._is_kept_back(connection, index) else ""
            return [number for number in indexes.unfinished(connection) if number != waiting]

    def run(self, make_way: Callable[[], bool] = lambda: False) -> None:
        """Do what is left to do, until it is done or `make_way` says after a batch that somebody waits.

        A model that cannot be loaded, or fails at a passage, ends its re-embedding, on record; the index that serves goes on.
        Raises what a server says that cannot embed at the moment; the next try goes on.
        """
        indexes.sweep(self._database)
        with self._database.read() as connection:
            building, serving = indexes.building(connection), indexes.serving(connection)
            if building is not None and self._is_kept_back(connection, building):
                building = None
        try:
            if building is not None:
                self._make(building, make_way)
            elif not serving.complete:
                self._mend(serving, make_way)
        except Superseded:
            log.info("reembedding.abandoned")
            self._embedders().release()
        indexes.sweep(self._database)

    def _make(self, index: IndexRecord, make_way: Callable[[], bool]) -> None:
        pool = self._embedders()
        try:
            embedder = pool.coming(index.model_id)
        except ApplianceError as error:
            if error.stable_code in _PASSING:
                raise
            self._fail(index, error)
            return
        if not index.dimensions:
            with self._database.write() as connection:
                index = self._held(connection, index)
                indexes.make_tables(connection, index, embedder.dimensions)
                index = self._held(connection, index)
        while not self._decided(index):
            if self._is_complete(index):
                if not self._golden.compare(index, pool.serving, embedder, make_way):
                    return
            elif not self._next_document(index, embedder, make_way):
                return
        pool.release()

    def _mend(self, index: IndexRecord, make_way: Callable[[], bool]) -> None:
        """Word pieces for the documents of the serving index that have none."""
        embedder = self._embedders().serving()
        if model_digest(embedder) != index.sha256:
            return
        while self._next_document(index, embedder, make_way):
            with self._database.write() as connection:
                if indexes.outstanding(connection, index.number) is None:
                    indexes.mark_complete(connection, index.number)
                    self._record(connection, EventName.EMBEDDING_COMPLETED, index, {"index": index.number})
                    return

    def _next_document(self, index: IndexRecord, embedder: Dimensioned, make_way: Callable[[], bool]) -> bool:
        """Put one more document into the index; False where somebody waits. Raises `Superseded`."""
        with self._database.read() as connection:
            work = indexes.outstanding(connection, index.number)
            if work is None:
                return True
            after = self._reached(connection, index, work)
        while True:
            if make_way():
                return False
            started = time.monotonic()
            with self._database.read() as connection:
                passages = _passages(connection, work, after)
            try:
                rows = _embedded_rows(passages, embedder)
            except ApplianceError as error:
                if index.state is not IndexState.BUILDING or error.stable_code in _PASSING:
                    raise
                self._fail(index, error)
                raise Superseded from error
            with self._database.write() as connection:
                current = self._held(connection, index)
                if not _is_there(connection, work):
                    return True
                if rows and index.state is IndexState.BUILDING:
                    store_vectors(connection, current, rows)
                store_pieces(connection, current, rows)
                if len(passages) < BATCH:
                    indexes.mark_indexed(connection, index.number, work.document_id)
                    indexes.note_progress(connection, index.number, "", 0, _rate(passages, started, current))
                    return True
                after = passages[-1].chunk_id
                done = after - work.first + 1
                indexes.note_progress(connection, index.number, work.document_id, done, _rate(passages, started, current))

    def _reached(self, connection: Connection, index: IndexRecord, work: Outstanding) -> int:
        """The last passage of the document that is in a building index already; passages go in by their order."""
        if index.state is IndexState.SERVING:
            return work.first - 1 + (index.document_done if index.document_id == work.document_id else 0)
        found = connection.exec_driver_sql(
            f"SELECT max(chunk_id) FROM {tables_of(index.number).exact} WHERE chunk_id BETWEEN ? AND ?", (work.first, work.last)
        ).scalar()
        return work.first - 1 if found is None else int(found)

    def _is_complete(self, index: IndexRecord) -> bool:
        with self._database.read() as connection:
            return indexes.outstanding(connection, index.number) is None

    def _is_kept_back(self, connection: Connection, index: IndexRecord) -> bool:
        """Whether golden sets speak against the index as everything is now: then there is nothing to do but to wait."""
        judgement = self._judgement(connection, index) if index.against else None
        return judgement is not None and bool(judgement.against)

    def _judgement(self, connection: Connection, index: IndexRecord) -> Judgement | None:
        """None where a document is missing, or a golden set was not asked."""
        if indexes.outstanding(connection, index.number) is not None:
            return None
        judgement = self._golden.judge(connection, index)
        return None if judgement.open else judgement

    def _decided(self, index: IndexRecord) -> bool:
        """Let the index serve, or say why it does not, if it holds every document and every golden set was asked.

        The model's version changes its state in the same transaction.
        """
        with self._database.read() as connection:
            if self._judgement(connection, self._held(connection, index)) is None:
                return False
        with self._database.write() as connection:
            current = self._held(connection, index)
            judgement = self._judgement(connection, current)
            if judgement is None:
                return False
            if judgement.against:
                indexes.hold(connection, index.number, judgement.against)
                log.warning("reembedding.kept_back", index=index.number, model=index.model_id)
                return True
            before = indexes.serving(connection)
            indexes.switch(connection, current)
            replaced = None
            back = False
            for version in records.load_versions(connection):
                if version.kind == "embedding" and version.state is VersionState.ACTIVE:
                    records.set_state(connection, version, VersionState.RETIRED)
                    replaced = version.id
                    back = current.unconditional and version.replaced == index.model_id
            version = records.load_version(connection, index.model_id)
            # who went back cannot go forward by going back once more: that way asks no golden set
            records.set_state(connection, version, VersionState.ACTIVE, replaced=None if back else replaced)
            facts: dict[str, str | int] = {"replaced": replaced or "nothing", "sha256": index.sha256}
            facts |= {"dimensions": current.dimensions, "index": index.number, "before": before.number}
            facts |= judgement.facts
            self._record(connection, EventName.MODEL_ACTIVATED, current, facts)
        log.info("reembedding.switched", index=index.number, model=index.model_id)
        return True

    def _fail(self, index: IndexRecord, error: ApplianceError) -> None:
        log.error("reembedding.failed", **error.diagnostics())
        with self._database.write() as connection:
            indexes.abandon(connection, self._held(connection, index))
            self._record(connection, EventName.EMBEDDING_ABANDONED, index, {"reason": error.stable_code}, Outcome.FAILURE)

    def _held(self, connection: Connection, index: IndexRecord) -> IndexRecord:
        """The index as it is now. Raises `Superseded` where it has another state than when the work on it began."""
        for current in indexes.all_indexes(connection):
            if current.number == index.number and current.state is index.state:
                return current
        raise Superseded

    def _record(
        self,
        connection: Connection,
        name: EventName,
        index: IndexRecord,
        facts: dict[str, str | int],
        outcome: Outcome = Outcome.SUCCESS,
    ) -> None:
        about = (ResourceRef("model", index.model_id),)
        person = load_principal(connection, index.begun_by)
        event = AuditEvent(name, SYSTEM, resources=about, outcome=outcome, on_behalf_of=person, facts=facts)
        self._audit.append(connection, event)


def _is_there(connection: Connection, work: Outstanding) -> bool:
    """Whether people can still search the document. If so its passages are as they were: none goes without it."""
    found = connection.exec_driver_sql("SELECT 1 FROM documents WHERE id = ? AND status = 'READY'", (work.document_id,))
    return found.first() is not None


def _passages(connection: Connection, work: Outstanding, after: int) -> list[_Passage]:
    rows = connection.exec_driver_sql(
        "SELECT chunks.id, number, text FROM chunks JOIN collections ON collections.id = chunks.collection_id "
        "WHERE chunks.id > ? AND chunks.id <= ? AND document_id = ? ORDER BY chunks.id LIMIT ?",
        (after, work.last, work.document_id, BATCH),
    )
    return [_Passage(row[0], row[1], row[2]) for row in rows]


def _embedded_rows(passages: Sequence[_Passage], embedder: PassageEmbedder) -> list[IndexRow]:
    read = embedded_whole(embedder, [searchable_text(passage.text) for passage in passages])
    return [
        IndexRow(passage.chunk_id, passage.collection_number, text.vector, [], packed_pieces(text), count)
        for passage, (text, count) in zip(passages, read, strict=True)
    ]


def _rate(passages: Sequence[_Passage], started: float, index: IndexRecord) -> float:
    """Passages per second, as a mean over some batches; a short one says little."""
    if len(passages) < BATCH // 4:
        return index.passages_per_s
    latest = len(passages) / max(time.monotonic() - started, 1e-6)
    return round(0.7 * index.passages_per_s + 0.3 * latest if index.passages_per_s else latest, 1)

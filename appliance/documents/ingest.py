"""The second half of an upload: from a stored file to indexed passages, in steps that can be repeated after any crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.documents.chunking import chunk, searchable_text
from appliance.documents.claims import Claim, ClaimLost, claim_document, fail, finish, hand_back, still_held, untried_id
from appliance.documents.models import Chunk, DocumentStatus, ParsedDocument
from appliance.documents.rejections import SENTENCES
from appliance.documents.sandbox import ParseLimits, parse_in_child
from appliance.documents.store import insert_chunks, insert_pages
from appliance.documents.watch import ClaimWatch
from appliance.documents.windows import PassageEmbedder
from appliance.errors import Denied, DocumentRejected, NotFound, Unavailable
from appliance.identity.models import SYSTEM
from appliance.identity.store import load_principal, pseudonym_of
from appliance.inference.runtime import model_digest
from appliance.retrieval import slices
from appliance.retrieval.index import IndexRow, SearchIndex, index_row
from appliance.retrieval.indexes import EmbedderChanged, mark_indexed, serving
from appliance.retrieval.pieces import embedded, packed_pieces
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

_TRIES = 3
"""A document whose worker died this often is given up: it may be what kills them."""

_FAR_SMALLER = 4
"""A waiting file with at most this part of the bytes of the one under way is read in between."""

_PASSING = 4
"""So many of them between two batches."""

_BATCH = 64
_PARSED_PERCENT = 25
_EMBEDDED_PERCENT = 98

log = structlog.get_logger(__name__)


class Ingest:
    """Takes documents from PENDING to READY or FAILED. The write lock is never held while parsing or embedding."""

    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        audit: AuditLog,
        index: SearchIndex,
        embedder_factory: Callable[[], PassageEmbedder],
        limits: ParseLimits,
        chunk_tokens: int,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._audit = audit
        self._index = index
        self._embedder_factory = embedder_factory
        self._limits = limits
        self._chunk_tokens = chunk_tokens

    def run(self, document_id: str, worker_id: str) -> None:
        """Claim the document and work on it; nothing happens where it is finished, gone or another worker's.

        A file that cannot be read becomes FAILED and raises nothing. Anything else that goes wrong hands the document back and
        is raised.
        """
        with self._database.write() as connection:
            claim = claim_document(connection, document_id, worker_id)
        if claim is None:
            return
        if claim.attempt > _TRIES:
            self._fail(claim, "document.parser_crashed", SENTENCES["document.parser_crashed"])
            return
        try:
            with ClaimWatch(self._database, claim) as watch:
                self._work(claim, watch)
        except (DocumentRejected, Denied) as error:  # the latter where the policy lets nobody embed it
            self._fail(claim, error.stable_code, error.sentence)
        except NotFound:
            if not self._gone(claim):
                self._fail(claim, "document.corrupt", "The stored file is missing; upload it again.")
        except ClaimLost:
            return
        except EmbedderChanged:
            # its vectors are of the model that served when they were made: the next try makes them of the one that serves now
            with self._database.write() as connection:
                hand_back(connection, claim, blameless=True)
        except BaseException as error:
            with self._database.write() as connection:
                hand_back(connection, claim, blameless=not isinstance(error, Exception))
            raise

    def _work(self, claim: Claim, watch: ClaimWatch) -> None:
        def reading(done: int, total: int) -> None:
            percent = _PARSED_PERCENT * done // max(total, 1)
            watch.show(DocumentStatus.PARSING, f"Reading page {done} of {total}", percent)

        def dividing(number: int, total: int) -> None:
            watch.show(DocumentStatus.PARSING, f"Dividing page {number} of {total}", _PARSED_PERCENT)

        # a file may keep its child busy for minutes without a word: whoever deletes it sets the worker free
        parsed = parse_in_child(self._file(claim), claim.document.media_type, self._limits, reading, watch.ensure_held)
        embedder = self._embedder_factory()
        passages = chunk(parsed, embedder, self._chunk_tokens, dividing)
        if not passages:
            raise DocumentRejected(SENTENCES["document.no_text"], code="document.no_text")
        watch.show(DocumentStatus.EMBEDDING, f"Indexing {len(passages)} passages", _PARSED_PERCENT, always=True)
        vectors, signs = _embed(passages, embedder, watch, lambda: self._let_pass(claim))
        rows = [
            index_row(
                passage.ordinal,
                claim.collection_number,
                vectors[passage.ordinal],
                title=parsed.title or claim.document.name,
                heading=passage.heading,
                text=searchable_text(passage.text),
                signs=signs[passage.ordinal],
            )
            for passage in passages
        ]
        self._store(claim, parsed, passages, rows, model_digest(embedder))

    def _let_pass(self, claim: Claim) -> None:
        """Work on a few far smaller documents that wait: a page need not wait for a book, and the book gets on."""
        for _ in range(_PASSING):
            with self._database.read() as connection:
                small = untried_id(connection, claim.document.size_bytes // _FAR_SMALLER)
            if small is None:
                return
            try:
                self.run(small, claim.worker_id)
            except Exception:  # it was handed back, and has its own turn; the one under way has no part in it
                log.exception("ingest.passing_failed", document_id=small)

    def _file(self, claim: Claim) -> Iterator[bytes]:
        """Raises `DocumentRejected` for a damaged file too: no further try would find it whole."""
        try:
            yield from self._blobs.read(claim.blob_name)
        except Unavailable as error:
            if error.stable_code != "blob.damaged":
                raise
            raise DocumentRejected(error.sentence, code=error.stable_code) from error

    def _store(
        self, claim: Claim, parsed: ParsedDocument, passages: Sequence[Chunk], rows: Sequence[IndexRow], made_by: str
    ) -> None:
        """Everything made of the document becomes visible in one transaction; chunk ids of `rows` still count from 0.

        Raises `ClaimLost`, and `EmbedderChanged` where another embedding model serves than the one that was asked.
        """
        document = claim.document
        self._sweep_remains(document.id)
        first = self._stage(claim, passages, rows, made_by) if len(passages) > slices.SLICE else None
        with self._database.write() as connection:
            if not still_held(connection, claim):
                raise ClaimLost
            index = serving(connection, made_by)
            insert_pages(connection, document.id, parsed)
            if first is None:
                self._add(connection, claim, passages, rows, made_by=made_by)
            elif not slices.reveal(connection, document.id, first):
                raise ClaimLost
            mark_indexed(connection, index.number, document.id)
            finish(connection, claim, parsed, chunk_count=len(passages))
            facts = {"pages": len(parsed.pages), "chunks": len(passages)}
            if hidden := sum(page.hidden for page in parsed.pages):
                facts["hidden_letters"] = hidden
            self._record(connection, claim, EventName.DOCUMENT_INGESTED, **facts)

    def _stage(self, claim: Claim, passages: Sequence[Chunk], rows: Sequence[IndexRow], made_by: str) -> int:
        """Store the passages hidden, one slice after the other; the id of the first. Raises as `_store` does."""
        document_id = claim.document.id
        with self._database.write() as connection:
            if not still_held(connection, claim):
                raise ClaimLost
            first = slices.reserve(connection, claim.collection_number, document_id, len(passages))
        for start in range(0, len(passages), slices.SLICE):
            part = slice(start, start + slices.SLICE)
            time.sleep(slices.PAUSE_S)
            with self._database.write() as connection:
                if not still_held(connection, claim) or not slices.reserved(connection, document_id, first):
                    raise ClaimLost
                self._add(connection, claim, passages[part], rows[part], made_by=made_by, reserved=first)
        return first

    def _add(
        self,
        connection: Connection,
        claim: Claim,
        passages: Sequence[Chunk],
        rows: Sequence[IndexRow],
        *,
        made_by: str,
        reserved: int | None = None,
    ) -> None:
        document = claim.document
        first = insert_chunks(connection, document.id, document.collection_id, passages, reserved)
        numbered = [replace(row, chunk_id=first + row.chunk_id) for row in rows]
        self._index.add(connection, numbered, made_by=made_by, hidden=reserved is not None)

    def _sweep_remains(self, document_id: str) -> None:
        """Remove what a worker left that died while it stored this document."""
        with self._database.read() as connection:
            if not slices.reserved(connection, document_id):
                return
        with self._database.write() as connection:
            slices.abandon(connection, document_id)
        slices.sweep(self._database)

    def _fail(self, claim: Claim, code: str, reason: str) -> None:
        try:
            with self._database.write() as connection:
                fail(connection, claim, code, reason)
                self._record(connection, claim, EventName.DOCUMENT_FAILED, reason=code)
        except ClaimLost:
            return

    def _gone(self, claim: Claim) -> bool:
        with self._database.read() as connection:
            return not still_held(connection, claim)

    def _record(self, connection: Connection, claim: Claim, name: EventName, **facts: str | int) -> None:
        document = claim.document
        self._audit.append(
            connection,
            AuditEvent(
                name,
                SYSTEM,
                resources=(ResourceRef("document", document.id), ResourceRef("collection", document.collection_id)),
                outcome=Outcome.FAILURE if name is EventName.DOCUMENT_FAILED else Outcome.SUCCESS,
                on_behalf_of=load_principal(connection, document.uploaded_by, key_id=document.key_id),
                facts={"sha256": document.sha256, "attempt": claim.attempt, **facts},
                sealed={"name": document.name},
                sealed_subject=pseudonym_of(connection, document.uploaded_by),
            ),
        )


def _embed(
    passages: Sequence[Chunk], embedder: PassageEmbedder, watch: ClaimWatch, between: Callable[[], None]
) -> tuple[NDArray[np.float32], dict[int, bytes]]:
    """Vectors and signs of pieces by place in `passages`, made in order of length: a batch costs as much as its longest text.

    `between` is called after each batch but the last.
    """
    order = sorted(range(len(passages)), key=lambda at: passages[at].token_count)
    vectors: dict[int, NDArray[np.float32]] = {}
    signs: dict[int, bytes] = {}
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        for at, text in zip(batch, embedded(embedder, [searchable_text(passages[at].text) for at in batch]), strict=True):
            vectors[at] = text.vector
            signs[at] = packed_pieces(text)
        done = min(start + _BATCH, len(order))
        percent = _PARSED_PERCENT + (_EMBEDDED_PERCENT - _PARSED_PERCENT) * done // len(order)
        watch.show(DocumentStatus.EMBEDDING, f"Indexing passage {done} of {len(order)}", percent)
        if done < len(order):
            between()
    return np.stack([vectors[at] for at in range(len(order))]), signs

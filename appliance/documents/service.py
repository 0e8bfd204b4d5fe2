"""Documents as people meet them: upload, watch, read, delete. Every act is authorised first and audited with what it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.documents import claims, store
from appliance.documents.ingest import Ingest
from appliance.documents.media_types import MediaType, by_extension, file_name
from appliance.documents.models import Document, DocumentStatus, Page
from appliance.documents.removal import goes_at_once, remove_unused, take_away
from appliance.documents.sandbox import ParseLimits, Rectangle, locate_in_child, render_page_in_child
from appliance.documents.upload import Upload, refusal
from appliance.documents.windows import PassageEmbedder
from appliance.errors import Conflict, DocumentRejected, InvalidInput, NotFound, NotSignedIn, Unavailable
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.settings import Settings
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

_PAGE_IMAGE_PIXELS = 1_400
_VIEW_TIMEOUT_S = 30
_VIEWS_AT_ONCE = 3
_VIEW_PATIENCE_S = 10
_ORPHAN_AGE_S = 3_600
_AT_ONCE = 10_000  # passages; a transaction of two seconds

# inside the class `list` is a method
Documents = list[Document]
Rectangles = list[Rectangle]
Ids = list[str]


@dataclass(frozen=True, slots=True)
class PageView:
    """A page as the viewer shows it; `start` is its offset in the document's text."""

    document: Document
    number: int
    page_count: int
    start: int
    text: str
    label: str


class DocumentService:
    """The one door to documents. `embedder_factory` is called only where something is embedded."""

    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        audit: AuditLog,
        access: Access,
        settings: Settings,
        embedder_factory: Callable[[], PassageEmbedder],
        index: SearchIndex,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._audit = audit
        self._access = access
        self._settings = settings
        self._index = index
        limits = ParseLimits(settings.parse_memory_mb, settings.parse_timeout_s, settings.parse_output_mb)
        self._view_limits = ParseLimits(settings.parse_memory_mb, min(_VIEW_TIMEOUT_S, settings.parse_timeout_s), 64)
        # each view may take as much memory as the reading of a file: many at once would be more than the box has
        self._views = threading.BoundedSemaphore(_VIEWS_AT_ONCE)
        self._ingest = Ingest(
            database=database,
            blobs=blobs,
            audit=audit,
            index=index,
            embedder_factory=embedder_factory,
            limits=limits,
            chunk_tokens=settings.chunk_tokens,
        )

    def begin_upload(self, principal: Principal, collection_id: str, name: str) -> Upload:
        """An upload that takes the file piece by piece. Raises `NotFound`, `Denied`, and `DocumentRejected` for the extension."""
        self._access.require_collection(principal, Action.DOCUMENT_UPLOAD, collection_id)
        cleaned = file_name(name)
        if not cleaned:
            raise InvalidInput("A file needs a name.", code="document.name")
        try:
            by_extension(cleaned)
        except DocumentRejected as error:
            with self._database.write() as connection:
                self._audit.append(connection, refusal(principal, collection_id, cleaned, error))
            raise
        return Upload(
            principal=principal,
            collection_id=collection_id,
            name=cleaned,
            limit_bytes=self._settings.upload_limit_mb * 1_000_000,
            database=self._database,
            blobs=self._blobs,
            audit=self._audit,
            permit=partial(self._permit_upload, principal, collection_id),
        )

    def _permit_upload(self, principal: Principal, collection_id: str) -> None:
        with self._database.read() as connection:
            person = load_principal(connection, principal.id, key_id=principal.key_id)
        if person is None:
            raise NotSignedIn("This account was closed a moment ago.")
        self._access.require_collection(person, Action.DOCUMENT_UPLOAD, collection_id)

    def ingest(self, document_id: str, worker_id: str) -> None:
        """Work on an accepted document; safe to call twice, at once, and after any crash. For workers, not for people."""
        self._ingest.run(document_id, worker_id)

    def pending_ids(self) -> Ids:
        """Documents that wait for a worker, or whose worker is gone; for the sweep."""
        with self._database.read() as connection:
            return claims.pending_ids(connection)

    def list(self, principal: Principal, collection_id: str | None = None) -> Documents:
        """Documents of one collection, or of all the principal may list, newest first; one audited act."""
        return self.watch(principal, collection_id)()

    def watch(self, principal: Principal, collection_id: str | None = None) -> Callable[[], Documents]:
        """The list as a function to call again and again: one audited act, but permission is asked at each call."""
        if collection_id is not None:
            self._access.require_collection(principal, Action.DOCUMENT_LIST, collection_id)
        resources = (ResourceRef("collection", collection_id),) if collection_id else ()
        with self._database.write() as connection:
            self._audit.append(connection, AuditEvent(EventName.DOCUMENT_LISTED, principal, resources=resources))

        def current() -> Documents:
            allowed = self._access.scope_now(principal, Action.DOCUMENT_LIST).collection_ids
            wanted = allowed if collection_id is None else allowed & {collection_id}
            with self._database.read() as connection:
                return store.documents_in(connection, wanted)

        return current

    def get(self, principal: Principal, document_id: str) -> Document:
        """What is known of a document, its text excepted."""
        document = self._require(principal, Action.DOCUMENT_READ, document_id)
        self._record_read(principal, document, part="record")
        return document

    def page(self, principal: Principal, document_id: str, number: int) -> PageView:
        """The text of a page. Raises `NotFound` for a page that is not there."""
        document = self._require(principal, Action.DOCUMENT_READ, document_id)
        page = self._page(document, number)
        self._record_read(principal, document, part="text", page=number)
        return PageView(
            document=document,
            number=number,
            page_count=document.page_count,
            start=page.start,
            text=page.text,
            label=page.label,
        )

    def page_image(self, principal: Principal, document_id: str, number: int) -> bytes:
        """A page of a PDF as PNG. Raises `NotFound` where a format has no pages to draw."""
        document, blob_name = self._require_picturable(principal, document_id, number)
        self._record_read(principal, document, part="image", page=number)
        with self._view():
            return render_page_in_child(self._blobs.read(blob_name), number, _PAGE_IMAGE_PIXELS, self._view_limits)

    def page_highlights(self, principal: Principal, document_id: str, number: int, start: int, end: int) -> Rectangles:
        """Where the span `start` to `end` of the document's text stands on the page: left, top, right, bottom, 0 to 1."""
        document, blob_name = self._require_picturable(principal, document_id, number)
        page = self._page(document, number)
        first, last = max(0, start - page.start), min(len(page.text), end - page.start)
        self._record_read(principal, document, part="highlights", page=number)
        if first >= last:
            return []
        with self._view():
            return locate_in_child(self._blobs.read(blob_name), number, first, last, self._view_limits)

    def content(self, principal: Principal, document_id: str) -> tuple[Document, Iterator[bytes]]:
        """The file as it was uploaded, in pieces."""
        document = self._require(principal, Action.DOCUMENT_READ, document_id)
        self._record_read(principal, document, part="file")
        return document, self._blobs.read(self._blob_of(document))

    def delete(self, principal: Principal, document_id: str) -> None:
        """Remove a document and everything made of it in one transaction; the stored file follows when nothing else needs it.

        Where it has more than `_AT_ONCE` passages, one transaction takes it away from everybody and its passages go in slices.
        """
        document = self._require(principal, Action.DOCUMENT_DELETE, document_id)
        at_once = goes_at_once(document, _AT_ONCE)
        with self._database.write(foreign_keys=at_once) as connection:
            blob_name = take_away(connection, self._index, document.id, at_once=at_once)
            if blob_name is None:
                raise NotFound("There is no such thing here.")
            facts: dict[str, str | int] = {"sha256": document.sha256, "chunks": document.chunk_count}
            self._record(connection, EventName.DOCUMENT_DELETED, principal, document, facts)
        remove_unused(self._database, self._blobs, [blob_name])
        slices.sweep(self._database)

    def retry(self, principal: Principal, document_id: str) -> Document:
        """Put a failed document back to PENDING; the caller enqueues it. Raises `Conflict` where it has not failed."""
        document = self._require(principal, Action.DOCUMENT_UPLOAD, document_id)
        with self._database.write() as connection:
            if not store.reset_document(connection, document.id):
                raise Conflict("Only a document that could not be read can be tried again.", code="document.not_failed")
            self._record(connection, EventName.DOCUMENT_UPLOADED, principal, document, {"retry": 1})
            renewed = store.load_document(connection, document.id)
        assert renewed is not None
        return renewed

    def remove_orphans(self) -> int:
        """Delete stored files that no document uses and drafts nobody writes to, older than an hour; how many there were."""
        oldest = time.time() - _ORPHAN_AGE_S
        removed = 0
        for name in list(self._blobs.names()):
            modified = self._blobs.modified_s(name)
            if modified is not None and modified < oldest:
                removed += remove_unused(self._database, self._blobs, [name])
        return removed + self._blobs.remove_drafts(older_than_s=oldest)

    def sweep_passages(self) -> int:
        """Remove passages that a process left which died while it stored or deleted a document; how many there were."""
        with self._database.write() as connection:
            slices.abandon_unheld(connection)
        return slices.sweep(self._database)

    def _require(self, principal: Principal, action: Action, document_id: str) -> Document:
        """The document, if its collection allows the act; else as `Access.require` raises, the same for foreign and unknown."""
        with self._database.read() as connection:
            document = store.load_document(connection, document_id)
        self._access.require(principal, action, self._access.collection(document.collection_id) if document else None)
        assert document is not None
        return document

    def _require_picturable(self, principal: Principal, document_id: str, number: int) -> tuple[Document, str]:
        document = self._require(principal, Action.DOCUMENT_READ, document_id)
        pictured = document.media_type == MediaType.PDF and document.status is DocumentStatus.READY
        if not pictured or not 1 <= number <= document.page_count:
            raise NotFound("There is no image of this page.", code="document.no_image")
        return document, self._blob_of(document)

    @contextmanager
    def _view(self) -> Iterator[None]:
        """One of the few children that look at pages at the same time. Raises `Unavailable` where none becomes free."""
        if not self._views.acquire(timeout=_VIEW_PATIENCE_S):
            raise Unavailable("The box is drawing other pages. Try again in a moment.", code="document.views_busy")
        try:
            yield
        finally:
            self._views.release()

    def _page(self, document: Document, number: int) -> Page:
        page = None
        if 1 <= number <= document.page_count:
            with self._database.read() as connection:
                page = store.load_page(connection, document.id, number)
        if page is None:
            raise NotFound("The document has no such page.", code="document.no_page")
        return page

    def _blob_of(self, document: Document) -> str:
        with self._database.read() as connection:
            blob_name = store.blob_of(connection, document.id)
        if blob_name is None:
            raise NotFound("There is no such thing here.")
        return blob_name

    def _record_read(self, principal: Principal, document: Document, **facts: str | int) -> None:
        with self._database.write() as connection:
            self._record(connection, EventName.DOCUMENT_READ, principal, document, facts)

    def _record(
        self,
        connection: Connection,
        name: EventName,
        principal: Principal,
        document: Document,
        facts: dict[str, str | int],
    ) -> None:
        resources = (ResourceRef("document", document.id), ResourceRef("collection", document.collection_id))
        self._audit.append(
            connection, AuditEvent(name, principal, resources=resources, facts=facts, sealed={"name": document.name})
        )

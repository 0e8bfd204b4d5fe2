"""What deleted collections held leaves here, in short transactions, behind everything else the box does.

Nobody reaches these documents any longer, since the collection is gone for every decision. The rows say what is left to do, so
the work goes on after any crash.
"""

from __future__ import annotations

import threading
import time

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.documents import store
from appliance.documents.models import Document
from appliance.documents.removal import fitting, goes_at_once, remove_unused, take_away
from appliance.identity.models import SYSTEM
from appliance.identity.store import load_principal, pseudonym_of
from appliance.policy.store import load_deleted
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database

_TURN_S = 20.0
_DOCUMENTS = 50
"""In one transaction, with at most `slices.SLICE` passages."""


class Clearing:
    """Removes documents of deleted collections, a deleted person's own among them. For workers, not for people."""

    def __init__(self, database: Database, blobs: BlobStore, audit: AuditLog, index: SearchIndex) -> None:
        self._database = database
        self._blobs = blobs
        self._audit = audit
        self._index = index
        self._turn = threading.Lock()

    def run(self, turn_s: float = _TURN_S) -> int:
        """Remove what there is, for about `turn_s` seconds; how many documents. Nothing where another thread is at it."""
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            return self._run(time.monotonic() + turn_s)
        finally:
            self._turn.release()

    def _run(self, end: float) -> int:
        removed = 0
        while time.monotonic() < end:
            with self._database.read() as connection:
                left = store.documents_of_deleted(connection, _DOCUMENTS)
            if not left:
                break
            removed += self._remove(left)
            time.sleep(slices.PAUSE_S)
        return removed

    def _remove(self, left: list[Document]) -> int:
        """The first of `left`, with those that fit into the same transaction."""
        at_once = goes_at_once(left[0], slices.SLICE)
        batch = fitting(left, slices.SLICE)
        names = []
        with self._database.write(foreign_keys=at_once) as connection:
            for document in batch:
                name = take_away(connection, self._index, document.id, at_once=at_once)
                if name is not None:
                    self._record(connection, document)
                    names.append(name)
        remove_unused(self._database, self._blobs, names)
        slices.sweep(self._database)
        return len(names)

    def _record(self, connection: Connection, document: Document) -> None:
        gone = load_deleted(connection, document.collection_id)
        slices.withdraw_collection(connection, gone.number)
        own = gone.owner_id is not None
        resources = (ResourceRef("document", document.id), ResourceRef("collection", document.collection_id))
        facts: dict[str, str | int] = {"sha256": document.sha256, "chunks": document.chunk_count}
        facts["with"] = "person" if own else "collection"
        # what a deleted person called it stands sealed with its upload, and nowhere anew
        sealed = {} if own else {"name": document.name}
        event = AuditEvent(
            EventName.DOCUMENT_DELETED,
            SYSTEM,
            resources=resources,
            on_behalf_of=load_principal(connection, gone.deleted_by),
            facts=facts,
            sealed=sealed,
            sealed_subject=pseudonym_of(connection, gone.deleted_by),
        )
        self._audit.append(connection, event)

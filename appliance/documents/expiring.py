"""Documents that are old enough for their collection leave here, in short transactions, behind everything else the box does.

Each is decided inside the transaction that removes it. What a worker reads at this moment stays for the next time, and what was
uploaded by somebody who is held until that hold is lifted. The rows say what is left, so the work goes on after any crash.
"""

from __future__ import annotations

import threading
import time

from sqlalchemy import Connection, select

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.holds import held_people
from appliance.audit.log import AuditLog
from appliance.documents import store
from appliance.documents.models import Document
from appliance.documents.removal import fitting, goes_at_once, remove_unused, take_away
from appliance.identity.models import SYSTEM
from appliance.retention.clock import belief_of
from appliance.retention.due import aged
from appliance.retention.rules import Rule
from appliance.retention.store import CONVERSATIONS, rules
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.storage.blobs import BlobStore
from appliance.storage.clock import now_ms
from appliance.storage.database import Database
from appliance.storage.tables import collections, documents, principals

_TURN_S = 20.0
_DOCUMENTS = 50
"""In one transaction, with at most `slices.SLICE` passages."""


class DocumentExpiry:
    """Removes documents by their age. For workers, not for people."""

    def __init__(self, database: Database, blobs: BlobStore, audit: AuditLog, index: SearchIndex) -> None:
        self._database = database
        self._blobs = blobs
        self._audit = audit
        self._index = index
        self._turn = threading.Lock()
        self._done_at = -1
        """The moment believed when nothing was left: until the next look at the clock nothing becomes older."""

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
                belief = belief_of(connection)
                if belief is None or belief.believed_ms == self._done_at:
                    break
                found = due(connection, belief.believed_ms, _DOCUMENTS)
            if found is None:
                self._done_at = belief.believed_ms
                break
            removed += self._remove(found[1])
            time.sleep(slices.PAUSE_S)
        return removed

    def _remove(self, left: list[Document]) -> int:
        """The first of `left`, with those that fit into the same transaction, as far as they still go."""
        at_once = goes_at_once(left[0], slices.SLICE)
        wanted = {document.id for document in fitting(left, slices.SLICE)}
        names = []
        with self._database.write(foreign_keys=at_once) as connection:
            belief = belief_of(connection)
            found = None if belief is None else due(connection, belief.believed_ms, _DOCUMENTS, of=left[0].collection_id)
            days, still = (0, []) if found is None else found
            for document in still:
                # one that was put back to the start meanwhile goes the other way, with the next look
                if document.id in wanted and goes_at_once(document, slices.SLICE) == at_once:
                    name = take_away(connection, self._index, document.id, at_once=at_once)
                    assert name is not None
                    self._record(connection, document, days)
                    names.append(name)
        remove_unused(self._database, self._blobs, names)
        slices.sweep(self._database)
        return len(names)

    def _record(self, connection: Connection, document: Document, days: int) -> None:
        resources = (ResourceRef("document", document.id), ResourceRef("collection", document.collection_id))
        facts: dict[str, str | int] = {"sha256": document.sha256, "chunks": document.chunk_count}
        facts |= {"why": "retention", "days": days}
        whose = select(principals.c.pseudonym).where(principals.c.id == document.uploaded_by, principals.c.deleted_ms.is_(None))
        uploader = connection.execute(whose).scalar()
        # what somebody called it who has left stands sealed with its upload, and nowhere anew
        sealed = {} if uploader is None else {"name": document.name}
        event = AuditEvent(
            EventName.DOCUMENT_DELETED, SYSTEM, resources=resources, facts=facts, sealed=sealed, sealed_subject=uploader or ""
        )
        self._audit.append(connection, event)


def due(connection: Connection, moment_ms: int, limit: int, *, of: str | None = None) -> tuple[int, list[Document]] | None:
    """Some documents of one collection that go now, the oldest first, with its number of days; None where there are none.

    Of the first collection that has any, or of the one given.
    """
    for collection_id, rule in sorted(rules(connection).items()):
        days = rule.in_force(moment_ms)
        if collection_id == CONVERSATIONS or days is None or of not in {None, collection_id}:
            continue
        found = _due_in(connection, collection_id, rule, moment_ms, limit)
        if found:
            return days, found
    return None


def _due_in(connection: Connection, collection_id: str, rule: Rule, moment_ms: int, limit: int) -> list[Document]:
    there = select(collections.c.id).where(collections.c.id == collection_id, collections.c.deleted_ms.is_(None))
    old = (
        documents.c.collection_id.in_(there.scalar_subquery()),  # what a deleted one held goes anyway, see clearing.py
        aged(connection, documents.c.uploaded_ms, rule, moment_ms),
        documents.c.uploaded_by.not_in(held_people()),
        documents.c.lease_until_ms <= now_ms(),
    )
    return store.documents_where(connection, *old, limit=limit)

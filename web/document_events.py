"""Progress of documents as events: the whole list first, then only what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from appliance.documents.models import Document
from appliance.retention.terms import Stays, Terms
from web.schemas.documents import DocumentChanges, DocumentOut
from web.sse import Event

BUSY_PERIOD_S = 0.5
QUIET_PERIOD_S = 2.0
"""How often the list is read while something is being worked on, and while nothing is."""


async def document_events(current: Callable[[], list[Document]], terms: Terms) -> AsyncIterator[Event]:
    """Calls `current` (see `DocumentService.watch`) again and again, until whoever reads stops reading."""
    shown: Sequence[Document] = await asyncio.to_thread(current)
    stays = await asyncio.to_thread(terms.now)
    yield _event(DocumentChanges(complete=True, changed=[DocumentOut.of(document, stays) for document in shown], removed=[]))
    while True:
        busy = any(not document.status.finished for document in shown)
        await asyncio.sleep(BUSY_PERIOD_S if busy else QUIET_PERIOD_S)
        found = await asyncio.to_thread(current)
        if found != shown:
            stays = await asyncio.to_thread(terms.now)
        changes = difference(shown, found, stays)
        shown = found
        if changes.changed or changes.removed:
            yield _event(changes)


def difference(before: Sequence[Document], after: Sequence[Document], stays: Stays) -> DocumentChanges:
    """What a reader of `before` must be told to know `after`."""
    known = {document.id: document for document in before}
    changed = [DocumentOut.of(document, stays) for document in after if known.get(document.id) != document]
    removed = sorted(known.keys() - {document.id for document in after})
    return DocumentChanges(complete=False, changed=changed, removed=removed)


def _event(changes: DocumentChanges) -> Event:
    return Event("documents", msgspec.json.encode(changes).decode())

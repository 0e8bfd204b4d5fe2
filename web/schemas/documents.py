"""Collections and documents."""

from __future__ import annotations

import msgspec

from appliance.administration.collections import CollectionSummary
from appliance.documents.models import Document
from appliance.documents.service import PageView
from appliance.identity.models import Principal
from appliance.retention.terms import Stays


class CollectionOut(msgspec.Struct):
    """A collection the person may read; `personal` marks their own. Its documents go after `days`; None: they stay."""

    id: str
    name: str
    personal: bool
    may_contribute: bool
    document_count: int
    classification: str
    days: int | None

    @classmethod
    def of(cls, summary: CollectionSummary, principal: Principal) -> CollectionOut:
        personal = summary.owner_id == principal.id
        writable, count = summary.may_contribute, summary.document_count
        return cls(summary.id, summary.name, personal, writable, count, summary.classification, summary.stay.days)


class DocumentOut(msgspec.Struct):
    """Status, stage and percent while it is worked on; `reason` is a sentence where it failed.

    `hidden_pages` names pages, as "3, 7", with text that nobody sees on them; `hidden_letters` of it were left unread. `end_ms`
    is when it goes by its age; None where that is not near.
    """

    id: str
    collection_id: str
    name: str
    media_type: str
    size_bytes: int
    uploaded_ms: int
    status: str
    stage: str
    percent: int
    reason_code: str | None
    reason: str | None
    page_count: int
    chunk_count: int
    hidden_pages: str
    hidden_letters: int
    end_ms: int | None = None

    @classmethod
    def of(cls, document: Document, stays: Stays) -> DocumentOut:
        made = msgspec.convert(document, cls, from_attributes=True)
        made.end_ms = stays.document_end_ms(document.collection_id, document.uploaded_ms)
        return made


class Uploaded(msgspec.Struct):
    """`duplicate`: the collection already had this very file; then `document` is that one."""

    document: DocumentOut
    duplicate: bool


class DocumentChanges(msgspec.Struct):
    """What became different; with `complete`, `changed` is the whole list and everything else is gone."""

    complete: bool
    changed: list[DocumentOut]
    removed: list[str]


class PageOut(msgspec.Struct):
    """The text of a page; `start` is its offset in the document's text, in characters (code points)."""

    number: int
    page_count: int
    start: int
    text: str
    label: str

    @classmethod
    def of(cls, view: PageView) -> PageOut:
        return msgspec.convert(view, cls, from_attributes=True)


class Highlights(msgspec.Struct):
    """Left, top, right, bottom of each piece of the span, as shares of the page from 0 to 1."""

    rectangles: list[tuple[float, float, float, float]]

"""Documents as rows and as text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DocumentStatus(StrEnum):
    """Where a document is on its way. PENDING, PARSING and EMBEDDING are work in progress; the row is the job."""

    PENDING = "PENDING"
    PARSING = "PARSING"
    EMBEDDING = "EMBEDDING"
    READY = "READY"
    FAILED = "FAILED"

    @property
    def finished(self) -> bool:
        return self in {DocumentStatus.READY, DocumentStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Document:
    """One uploaded file."""

    id: str
    collection_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    uploaded_by: str
    uploaded_ms: int
    status: DocumentStatus
    stage: str
    percent: int
    reason_code: str | None
    reason: str | None
    page_count: int
    chunk_count: int
    hidden_pages: str = ""
    """Numbers of pages that held text which nobody sees on them, as "3, 7"; that text is not read."""
    hidden_letters: int = 0
    key_id: str = ""
    """Of the API key by which it was uploaded."""


_HIDDEN_PAGES_NAMED = 20

PAGE_SEPARATOR = "\n\n"
"""Stands between the texts of a document's pages: joined by it they are the document's text, which all offsets count in."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, slide, sheet, chapter or message part of a document; `start` is its offset in the document's text."""

    number: int
    start: int
    text: str
    label: str = ""
    hidden: int = 0
    """Letters that were left out because nobody sees them."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading found while parsing: `level` from 1, offset in the document's text."""

    level: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What parsing makes of a file."""

    pages: tuple[Page, ...]
    headings: tuple[Heading, ...] = ()
    title: str = ""

    @property
    def hidden_pages(self) -> str:
        """Numbers of the pages with text that nobody sees, the first few of them."""
        numbers = [str(page.number) for page in self.pages if page.hidden]
        return ", ".join(numbers[:_HIDDEN_PAGES_NAMED]) + (" …" if len(numbers) > _HIDDEN_PAGES_NAMED else "")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document, as embedded and searched. Offsets are characters of the document's text."""

    ordinal: int
    page: int
    start: int
    end: int
    heading: str
    text: str
    token_count: int

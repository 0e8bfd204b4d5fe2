"""A question set as a collection of a throw-away appliance: chunked, embedded and indexed by the code that serves people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.administration.collections import CollectionSummary
from appliance.bootstrap import Appliance
from appliance.documents.chunking import chunk, searchable_text
from appliance.documents.media_types import MediaType
from appliance.documents.models import PAGE_SEPARATOR, Chunk, Document, DocumentStatus, Page, ParsedDocument
from appliance.documents.store import insert_chunks, insert_document, insert_pages
from appliance.evaluation.dataset import Article, Dataset, Question
from appliance.identity.models import SYSTEM, Principal
from appliance.retrieval.index import SearchIndex, index_row
from appliance.retrieval.pieces import embedded, packed_pieces

_BATCH = 64
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Passage:
    """Where an indexed chunk stands in the question set: offsets in its paragraph."""

    article: int
    paragraph: int
    start: int
    end: int
    token_count: int

    def holds_answer(self, question: Question) -> bool:
        """Whether a gold span lies within the passage, whole."""
        return (self.article, self.paragraph) == (question.article, question.paragraph) and any(
            self.start <= span.start and span.end <= self.end for span in question.answers
        )


@dataclass(frozen=True, slots=True)
class Corpus:
    """The indexed set: passages by chunk id, documents by article, and where each paragraph begins in its document."""

    collection_id: str
    collection_number: int
    passages: dict[int, Passage]
    document_ids: tuple[str, ...]
    paragraph_starts: tuple[tuple[int, ...], ...]


def index_dataset(appliance: Appliance, owner: Principal, dataset: Dataset, progress: Callable[[str], None]) -> Corpus:
    """Put every article into the owner's own collection. One article is one document, one paragraph one page."""
    collection = next(item for item in appliance.collections.readable(owner) if item.owner_id == owner.id)
    passages: dict[int, Passage] = {}
    starts: list[tuple[int, ...]] = []
    document_ids = tuple(f"article-{at:06}" for at in range(len(dataset.articles)))
    for at, article in enumerate(dataset.articles):
        parsed = parsed_article(article)
        starts.append(tuple(page.start for page in parsed.pages))
        made = chunk(parsed, appliance.embedder, appliance.settings.chunk_tokens)
        first = _store(appliance, collection, document_ids[at], parsed, made)
        for passage in made:
            start = parsed.pages[passage.page - 1].start
            place = (at, passage.page - 1, passage.start - start, passage.end - start)
            passages[first + passage.ordinal] = Passage(*place, passage.token_count)
        progress(f"Indexed {at + 1} of {len(dataset.articles)} articles, {len(passages)} passages")
    return Corpus(collection.id, collection.number, passages, document_ids, tuple(starts))


def parsed_article(article: Article) -> ParsedDocument:
    """An article as parsing would give it. Without a title the first line serves, as a file's name would say what it is."""
    found: list[Page] = []
    start = 0
    for number, text in enumerate(article.paragraphs, 1):
        found.append(Page(number, start, text))
        start += len(text) + len(PAGE_SEPARATOR)
    first_line = next((line.strip() for text in article.paragraphs for line in text.splitlines() if line.strip()), "")
    return ParsedDocument(tuple(found), title=article.title or first_line[:_LONGEST_TITLE])


def _store(
    appliance: Appliance, collection: CollectionSummary, document_id: str, parsed: ParsedDocument, made: list[Chunk]
) -> int:
    texts = [searchable_text(passage.text) for passage in made]
    read = [
        text for start in range(0, len(texts), _BATCH) for text in embedded(appliance.embedder, texts[start : start + _BATCH])
    ]
    rows = [
        index_row(
            passage.ordinal,
            collection.number,
            own.vector,
            title=parsed.title,
            heading=passage.heading,
            text=text,
            signs=packed_pieces(own),
        )
        for passage, text, own in zip(made, texts, read, strict=True)
    ]
    document = Document(
        id=document_id,
        collection_id=collection.id,
        name=parsed.title or document_id,
        media_type=MediaType.TEXT.value,
        size_bytes=0,
        sha256=document_id,
        uploaded_by=SYSTEM.id,
        uploaded_ms=0,
        status=DocumentStatus.READY,
        stage="",
        percent=100,
        reason_code=None,
        reason=None,
        page_count=len(parsed.pages),
        chunk_count=len(made),
    )
    with appliance.database.write() as connection:
        insert_document(connection, document, blob_name=document_id)
        insert_pages(connection, document_id, parsed)
        first = insert_chunks(connection, document_id, collection.id, made)
        numbered = [replace(row, chunk_id=first + row.chunk_id) for row in rows]
        SearchIndex().add(connection, numbered, made_by=appliance.embedder.sha256)
    return first

"""A question set as a collection of a throw-away appliance: chunked, embedded and indexed by the code that serves people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, insert, select

from appliance.administration.collections import CollectionSummary
from appliance.bootstrap import Appliance
from appliance.documents.chunking import chunk, searchable_text
from appliance.documents.models import Chunk, DocumentStatus, Page, ParsedDocument
from appliance.evaluation.dataset import Article, Dataset, Question
from appliance.identity.models import Principal
from appliance.retrieval.index import IndexRow, SearchIndex
from appliance.storage.tables import chunks as chunk_table
from appliance.storage.tables import documents, pages

_BATCH = 64
_LONGEST_TITLE = 200
_PARAGRAPH_GAP = 2  # the document's text is its pages' texts joined by two newlines


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


def index_dataset(
    appliance: Appliance, owner: Principal, dataset: Dataset, chunk_tokens: int, progress: Callable[[str], None]
) -> Corpus:
    """Put every article into the owner's own collection. One article is one document, one paragraph one page."""
    collection = next(item for item in appliance.collections.readable(owner) if item.owner_id == owner.id)
    passages: dict[int, Passage] = {}
    starts: list[tuple[int, ...]] = []
    document_ids = tuple(f"article-{at:06}" for at in range(len(dataset.articles)))
    for at, article in enumerate(dataset.articles):
        parsed = parsed_article(article)
        starts.append(tuple(page.start for page in parsed.pages))
        made = chunk(parsed, appliance.embedder, chunk_tokens)
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
        start += len(text) + _PARAGRAPH_GAP
    first_line = next((line.strip() for text in article.paragraphs for line in text.splitlines() if line.strip()), "")
    return ParsedDocument(tuple(found), title=article.title or first_line[:_LONGEST_TITLE])


def _store(
    appliance: Appliance, collection: CollectionSummary, document_id: str, parsed: ParsedDocument, made: list[Chunk]
) -> int:
    texts = [searchable_text(passage.text) for passage in made]
    vectors = [appliance.embedder.embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
    joined = np.concatenate(vectors) if vectors else np.empty((0, appliance.embedder.dimensions), np.float32)
    with appliance.database.write() as connection:
        first = (connection.execute(select(func.max(chunk_table.c.id))).scalar() or 0) + 1
        connection.execute(
            insert(documents).values(
                id=document_id,
                collection_id=collection.id,
                name=parsed.title or document_id,
                media_type="text/plain",
                size_bytes=0,
                sha256=document_id,
                blob_name=document_id,
                uploaded_by="system",
                uploaded_ms=0,
                status=DocumentStatus.READY,
                page_count=len(parsed.pages),
                chunk_count=len(made),
            )
        )
        if not made:
            return first
        connection.execute(
            insert(pages),
            [
                {"document_id": document_id, "number": page.number, "start": page.start, "text": page.text, "label": page.label}
                for page in parsed.pages
            ],
        )
        connection.execute(
            insert(chunk_table),
            [
                {
                    "id": first + passage.ordinal,
                    "document_id": document_id,
                    "collection_id": collection.id,
                    "ordinal": passage.ordinal,
                    "page": passage.page,
                    "start": passage.start,
                    "end": passage.end,
                    "heading": passage.heading,
                    "text": passage.text,
                    "token_count": passage.token_count,
                }
                for passage in made
            ],
        )
        SearchIndex().add(
            connection,
            [
                IndexRow(first + passage.ordinal, collection.number, parsed.title, passage.heading, texts[at], joined[at])
                for at, passage in enumerate(made)
            ],
        )
    return first

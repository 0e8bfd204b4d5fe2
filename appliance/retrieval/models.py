"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk with its score; `score` is comparable within one search only, higher is better."""

    chunk_id: int
    document_id: str
    document_name: str
    collection_id: str
    page: int
    start: int
    end: int
    heading: str
    text: str
    token_count: int
    score: float
    similarity: float  # exact cosine of the question and the chunk, -1 to 1; comparable between searches
    words_score: float  # BM25, 0 where no word of the question is in the chunk

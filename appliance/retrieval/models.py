"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk with its score, higher is better; among searches it is comparable where the embedder compares by pieces."""

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
    lead: float = 0.0  # how far its score is above that of the passages at places 11 to 30, which rarely answer anything

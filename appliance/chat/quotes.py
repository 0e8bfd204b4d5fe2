"""The sentences of the passages that best fit a question, word for word. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.chat.sentences import split_sentences
from appliance.chat.words import content_terms

_QUOTE_WORDS = 60


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage: index of the passage, offsets in its text, how well it fits (0 to 1)."""

    passage: int
    start: int
    end: int
    text: str
    fit: float


def best_quotes(question: str, passages: Sequence[str], limit: int) -> list[Quote]:
    """At most `limit` sentences, best first; rare words of the question count more than those found in many sentences."""
    wanted = set(content_terms(question))
    candidates = [
        (index, piece, set(content_terms(piece.text)))
        for index, passage in enumerate(passages)
        for piece in split_sentences(passage)
        if 3 <= len(piece.text.split()) <= _QUOTE_WORDS and not piece.text.endswith("?")
    ]
    if not wanted or not candidates:
        return []
    spread = Counter(stem for _, _, stems in candidates for stem in stems & wanted)
    weight = {stem: math.log(1 + len(candidates) / (1 + spread[stem])) for stem in wanted}
    whole = sum(weight.values())
    quotes = []
    for index, piece, stems in candidates:
        fit = sum(weight[stem] for stem in wanted & stems) / whole
        # of sentences that fit alike the one of the better passage comes first
        quotes.append((fit - 0.05 * index, Quote(index, piece.start, piece.end, piece.text, fit)))
    quotes.sort(key=lambda item: -item[0])
    return [quote for _, quote in quotes[:limit] if quote.fit > 0]

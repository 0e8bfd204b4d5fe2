"""How much a term says about a passage, in a few steps, written into the index entry itself.

The weight of a term in a passage, BM25 without the rarity of the term (Robertson and Zaragoza 2009), is known when the
passage is indexed. Rounded to a step, it is kept in the entry's row number (an impact-ordered index: Anh, de Kretser and Moffat
2001): a posting list then says for each passage how much the term weighs there, and nothing is looked up per passage. The
token begins with the collection, so that a question reads only posting lists of its own scope.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from itertools import pairwise

from appliance.retrieval.terms import index_terms

IMPACTS = (0.8, 1.1, 1.4, 1.75)
"""Weights that the steps stand for, smallest first."""

_BOUNDS = tuple((low + high) / 2 for low, high in pairwise(IMPACTS))
_SATURATION = 1.2  # k1
_LENGTH_SHARE = 0.75  # b
_USUAL_LENGTH = 90  # terms of a passage of the usual size; fixed, so that a weight never changes after indexing
_TITLE_WEIGHT = 1.0
_HEADING_WEIGHT = 1.0


def token(collection_number: int, term: str) -> str:
    """The indexed form of a term. The collection comes first: a posting list never spans two collections."""
    return f"{collection_number}_{term}"


def entry_row(chunk_id: int, step: int) -> int:
    """Row of the full-text table that holds a chunk's terms of one step."""
    return chunk_id * len(IMPACTS) + step


def passage_tokens(collection_number: int, title: str, heading: str, text: str) -> list[list[str]]:
    """Tokens of one passage by step. Words of its title and of the headings it stands under count as if used once more."""
    body = index_terms(text)
    weights: dict[str, float] = dict(Counter(body))
    for words, weight in ((title, _TITLE_WEIGHT), (heading, _HEADING_WEIGHT)):
        for term in dict.fromkeys(index_terms(words)):
            weights[term] = weights.get(term, 0.0) + weight
    length = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * len(body) / _USUAL_LENGTH)
    steps: list[list[str]] = [[] for _ in IMPACTS]
    for term, weight in weights.items():
        impact = weight * (_SATURATION + 1) / (weight + length)
        steps[bisect(_BOUNDS, impact)].append(token(collection_number, term))
    return steps

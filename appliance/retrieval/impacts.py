"""How much a term says about a passage, in four steps, written into the indexed token itself.

The weight of a term in a passage, BM25 without the rarity of the term (Robertson and Zaragoza 2009), is known when the
passage is indexed. Rounded to a step, it becomes part of the token (impact-ordered index: Anh, de Kretser and Moffat 2001),
as does the collection. A question then reads only posting lists of its own scope and learns each passage's weight from the
list it stands in; nothing is looked up per passage. Against exact BM25 the rounding costs nothing measurable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from appliance.retrieval.terms import index_terms

IMPACTS = (0.8, 1.1, 1.4, 1.75)
"""Weights that the steps stand for; the step of a token is a digit, its position here."""

_BOUNDS = tuple((low + high) / 2 for low, high in pairwise(IMPACTS))
_SATURATION = 1.2  # k1
_LENGTH_SHARE = 0.75  # b
_USUAL_LENGTH = 90  # terms of a passage of the usual size; fixed, so that a weight never changes after indexing
_TITLE_WEIGHT = 1.0
_HEADING_WEIGHT = 1.0


def token(collection_number: int, term: str, step: int) -> str:
    """The indexed form of a term. The collection comes first: a posting list never spans two collections."""
    return f"{collection_number}_{term}_{step}"


def passage_tokens(collection_number: int, title: str, heading: str, text: str) -> Iterable[str]:
    """Tokens of one passage. Words of the title and of the headings it stands under count as if it used them once more."""
    body = index_terms(text)
    counts: Counter[str] = Counter(body)
    weights: dict[str, float] = dict(counts)
    for words, weight in ((title, _TITLE_WEIGHT), (heading, _HEADING_WEIGHT)):
        for term in dict.fromkeys(index_terms(words)):
            weights[term] = weights.get(term, 0.0) + weight
    length = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * len(body) / _USUAL_LENGTH)
    for term, weight in weights.items():
        impact = weight * (_SATURATION + 1) / (weight + length)
        yield token(collection_number, term, sum(impact > bound for bound in _BOUNDS))

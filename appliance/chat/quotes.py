"""The sentences of the passages that best fit a question, word for word. Pure.

A sentence earns the weight of each question word it holds; words are heavy when few of the sentences hold them. What stands in
the heading above or in the sentence before counts in part, since "Sixteen weeks for each parent" under "Parental leave" answers
a question about parental leave. A sentence that tells nothing beyond the words of the question answers nothing. A row of a table
is told with the names of its columns, which stand in the first row of the table.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.chat.sentences import split_sentences
from appliance.chat.words import content_terms, matches, names, words
from appliance.language.contents import is_contents_line
from appliance.retrieval.models import Hit

_LONGEST_WORDS = 80
_HEADING_SHARE = 0.5
_BEFORE_SHARE = 0.3
_RANK_COST = 0.04
_MEANING_SHARE = 0.4
_NAME_COST = 0.2
_RARE_NAME = 0.25
"""A name in more than this share of the sentences tells them apart no better than another word."""
_NEARLY_AS_GOOD, _ADDING = 0.9, 0.75
"""A further sentence must fit at least this well, as a share of the best: less well where it holds a word of the question that
no sentence before it holds."""
_ENDS, _ASKS, _CLOSERS = ".!:;\u3002\uff01", "?\uff1f", "\"'\u201d\u2019»)"
_BULLET = re.compile(r"^[-•*|]\s*")
_NUMBER = re.compile(r"^[(\[]?\d+(?:\.\d+)*[.)\]]+\s")

Similarity = Callable[[str, Sequence[str]], Sequence[float]]
"""Cosine of a question and each of some sentences."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage: index of the passage, offsets in its text, how well it fits (about 0 to 1)."""

    passage: int
    start: int
    end: int
    text: str
    fit: float


def best_quotes(question: str, passages: Sequence[Hit], limit: int, similarity: Similarity | None = None) -> list[Quote]:
    """At most `limit` sentences, best first, each nearly as good as the best or an answer to another part of the question."""
    wanted = list(dict.fromkeys(content_terms(question)))
    found = [item for index, hit in enumerate(passages) for item in _candidates(wanted, index, hit)]
    if not wanted or not found:
        return []
    spread = Counter(term for candidate in found for term in candidate.own)
    weight = {term: math.log(1 + len(found) / (1 + spread[term])) for term in wanted}
    whole = sum(weight.values())
    asked = _rare_names(question, found)
    meaning = similarity(question, [item.quote.text for item in found]) if similarity else [0.0] * len(found)
    quotes: list[tuple[Quote, frozenset[str]]] = []
    for candidate, cosine in zip(found, meaning, strict=True):
        lexical = sum(weight[term] * share for term, share in candidate.shares().items()) / whole
        fit = lexical if similarity is None else (1 - _MEANING_SHARE) * lexical + _MEANING_SHARE * max(0.0, cosine)
        quote = candidate.quote
        fit -= _RANK_COST * quote.passage
        if asked:
            hit = passages[quote.passage]
            fit -= _NAME_COST * len(asked.difference(words(f"{hit.document_name} {hit.heading} {quote.text}"))) / len(asked)
        quotes.append((Quote(quote.passage, quote.start, quote.end, quote.text, fit), candidate.own))
    quotes.sort(key=lambda item: -item[0].fit)
    best = quotes[0][0].fit
    chosen: list[Quote] = []
    said: set[str] = set()
    for quote, own in quotes:
        if 0 < quote.fit >= best * (_NEARLY_AS_GOOD if own <= said else _ADDING) and len(chosen) < limit:
            chosen.append(quote)
            said |= own
    return chosen


def quotes_of(queries: Sequence[str], passages: Sequence[Hit], limit: int, similarity: Similarity | None = None) -> list[Quote]:
    """As `best_quotes`; of a question that asks several things, the best one for each of them."""
    if len(queries) == 1:
        return best_quotes(queries[0], passages, limit, similarity)
    found = [quote for query in queries for quote in best_quotes(query, passages, 1, similarity)]
    return list({(quote.passage, quote.start): quote for quote in found}.values())


@dataclass(frozen=True, slots=True)
class _Candidate:
    quote: Quote
    own: frozenset[str]
    heading: frozenset[str]
    before: frozenset[str]

    def shares(self) -> dict[str, float]:
        """How much of each question word counts for this sentence."""
        shares = dict.fromkeys(self.before, _BEFORE_SHARE)
        shares.update(dict.fromkeys(self.heading, _HEADING_SHARE))
        shares.update(dict.fromkeys(self.own, 1.0))
        return shares


def _rare_names(question: str, found: Sequence[_Candidate]) -> set[str]:
    """The names and codes of the question that some of the sentences hold, but few."""
    wanted = names(question)
    if not wanted:
        return set()
    spread = Counter(word for candidate in found for word in wanted.intersection(words(candidate.quote.text)))
    return {name for name, held in spread.items() if held <= _RARE_NAME * len(found)}


def _candidates(wanted: Sequence[str], index: int, hit: Hit) -> list[_Candidate]:
    heading = matches(wanted, content_terms(hit.heading))
    before: frozenset[str] = frozenset()
    found = []
    for piece in split_sentences(hit.text):
        if is_contents_line(piece.text) or piece.names:
            continue
        bullet = _BULLET.match(piece.text)
        start = piece.start + (bullet.end() if bullet else 0)
        said = piece.row or hit.text[start : piece.end]
        bare = _NUMBER.sub("", said)
        told = content_terms(bare)
        own = matches(wanted, told)
        news = {term for term in told if not matches([term], wanted)}
        whole = said.rstrip(_CLOSERS)[-1:] in _ENDS or len(told) > 4 or any(c.isdigit() for c in bare)
        if news and whole and len(said.split()) <= _LONGEST_WORDS and said[-1] not in _ASKS:
            found.append(_Candidate(Quote(index, start, piece.end, said, 0.0), own, heading, before))
        before = own
    return found

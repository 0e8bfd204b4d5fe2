"""Whether a sentence is supported by a passage, and by which words of it. Pure.

A sentence is supported by a window of at most three neighbouring sentences of a passage when most of its content words are
there, every number, name and code of it stands there literally, and it is negated if and only if the nearest sentence is.
Strictly, it is one sentence, and most of that is repeated: who leaves out most of a sentence leaves out its conditions. A row of
a table supports alone, with the names of its columns. A question is never supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.chat.sentences import Sentence, split_sentences
from appliance.chat.words import content_terms, fold, is_negated, names, numbers, words

SUPPORT = 0.85
"""Share of a sentence's content words that its support must contain."""
_WINDOW = 3
_REPEATED = 0.5
"""Share of the content words of its one source that a strictly supported sentence repeats."""
_CONTENT_WORDS = 2
"""A sentence with fewer content words says nothing that could be checked."""


@dataclass(frozen=True, slots=True)
class Support:
    """The window that supports a sentence: index of the passage, offsets in its text, share of content words found."""

    passage: int
    start: int
    end: int
    coverage: float


def find_support(sentence: str, passages: Sequence[str], *, strict: bool = False) -> Support | None:
    """The shortest window with the best coverage; None when no passage supports the sentence."""
    wanted = set(content_terms(sentence))
    if len(wanted) < _CONTENT_WORDS or is_question(sentence):
        return None
    best: Support | None = None
    for index, passage in enumerate(passages):
        if not literal_in(sentence, passage):
            continue
        pieces = split_sentences(passage)
        stems = [set(content_terms(piece.told)) for piece in pieces]
        for width in range(1, (1 if strict else _WINDOW) + 1):
            for first in range(len(pieces) - width + 1):
                held = set().union(*stems[first : first + width])
                coverage = len(wanted & held) / len(wanted)
                if coverage < SUPPORT or (best is not None and coverage <= best.coverage):
                    continue
                if strict and len(wanted & held) < _REPEATED * len(held):
                    continue
                if width > 1 and any(piece.row for piece in pieces[first : first + width]):
                    continue  # what one row says, the next denies
                window = _joined(passage, pieces[first : first + width])
                nearest = max(range(first, first + width), key=lambda at: len(wanted & stems[at]))
                if literal_in(sentence, window.told) and is_negated(sentence) == is_negated(pieces[nearest].text):
                    best = Support(index, window.start, window.end, coverage)
    return best


def is_question(sentence: str) -> bool:
    """Whether it asks, in the scripts that mark a question at its end."""
    return sentence.rstrip("\"'\u201d\u2019») ").endswith(("?", "\uff1f", "\u061f"))


def literal_in(sentence: str, text: str) -> bool:
    """Whether each number, name and code of the sentence stands in the text."""
    folded = fold(text)
    held = set(words(text))
    return numbers(sentence) <= numbers(text) and all(name in held or name in folded for name in names(sentence))


def _joined(passage: str, pieces: Sequence[Sentence]) -> Sentence:
    start, end = pieces[0].start, pieces[-1].end
    return Sentence(passage[start:end], start, end, pieces[0].row)

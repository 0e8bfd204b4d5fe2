"""Whether a sentence is supported by a passage, and by which words of it. Pure.

A sentence is supported by a window of at most three neighbouring sentences of a passage when most of its content words are
there and the rest elsewhere in the passage, and every number, name and code of it stands there literally. The last sentence of
the window carries the claim, those before it may say of whom: three quarters of the words, all numbers, and no name in the place
of another stand in it, since neighbours say the same of something else; and it is negated if and only if the claim is, and says
nothing that excludes it. Strictly, it is one sentence that holds every content word in the same order, and most of that is
repeated: who leaves out most of a sentence leaves out its conditions. A row of a table supports alone, with the names of its
columns. A question is never supported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.chat.sentences import Sentence, split_sentences
from appliance.chat.words import content_terms, fold, is_contrary, is_negated, matches, names, numbers, words

SUPPORT = 0.85
"""Share of a sentence's content words that its support must contain."""
_WINDOW = 3
_CARRIED = 0.75
"""Share of the content words that the last sentence of the window must contain by itself."""
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
    claimed = content_terms(sentence)
    wanted = set(claimed)
    if len(wanted) < _CONTENT_WORDS or is_question(sentence):
        return None
    best: Support | None = None
    for index, passage in enumerate(passages):
        if not literal_in(sentence, passage):
            continue
        pieces = split_sentences(passage)
        said = [content_terms(piece.told) for piece in pieces]
        stems = [set(terms) for terms in said]
        if len(matches(wanted, set().union(*stems))) < len(wanted):
            continue  # a word from nowhere may be the opposite of the right one
        for first, last in _windows(pieces, 1 if strict else _WINDOW):
            held = set().union(*stems[first : last + 1])
            coverage = len(wanted & held) / len(wanted)
            if coverage < (1 if strict else SUPPORT) or (best is not None and coverage <= best.coverage):
                continue
            if strict and not (len(wanted) >= _REPEATED * len(held) and _in_order(claimed, said[last])):
                continue
            window = _joined(passage, pieces[first : last + 1])
            if (
                len(wanted & stems[last]) >= _CARRIED * len(wanted)
                and literal_in(sentence, window.told)
                and _carries(pieces[last], sentence)
            ):
                best = Support(index, window.start, window.end, coverage)
    return best


def _windows(pieces: Sequence[Sentence], widest: int) -> Iterator[tuple[int, int]]:
    """First and last sentence of each window, short ones first. What one row says, the next denies."""
    for width in range(1, widest + 1):
        for first in range(len(pieces) - width + 1):
            if width == 1 or not any(piece.row for piece in pieces[first : first + width]):
                yield first, first + width - 1


def _carries(source: Sentence, sentence: str) -> bool:
    """Whether the source says it with the same numbers, the same way round, and of nobody else."""
    own, claimed = names(source.told), names(sentence)
    return (
        is_negated(sentence) == is_negated(source.text)
        and not is_contrary(sentence, source.told)
        and numbers(sentence) <= numbers(source.told)
        and (claimed <= own or own <= claimed)
    )


def _in_order(claimed: Sequence[str], said: Sequence[str]) -> bool:
    """Whether all that is claimed is said in this order, with no number left out in between: order tells who does what."""
    at = -1
    for count, term in enumerate(claimed):
        try:
            found = said.index(term, at + 1)
        except ValueError:
            return False
        if count and any(any(map(str.isdigit, skipped)) for skipped in said[at + 1 : found]):
            return False
        at = found
    return True


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

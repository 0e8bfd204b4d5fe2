"""Where sentences begin and end, in prose, lists and tables alike."""

from __future__ import annotations

import re
from typing import NamedTuple

_CLOSERS = r"""["'\u201d\u2019»)\]]*(?:\s*\[\d+\])*"""
_OPENER = r"""["'\u201c\u2018«(\[¿¡]*[^\W_a-zß-öø-ÿ]"""
# an end mark before a capital or a digit; a full-width end mark; an empty line; a line that starts an item or a capital
_END = re.compile(
    rf"(?<=[.!?…]){_CLOSERS}\s+(?={_OPENER})"
    r"|[\u3002\uff01\uff1f]+|\n\s*\n"
    r"|\n(?=\s*(?:[-•*\u2013|]|\d+[.)]|[^\W_a-zß-öø-ÿ]))"
)
_ORDINAL = re.compile(r"(?:^|\s)\d{1,3}\.$")
_SHORT = re.compile(r"(?:^|[\s(])((?:[^\W\d_]\.)*[^\W\d_]{1,3})\.$")
# words this short that do end sentences
_SHORT_WORDS = """
    ago all any day far few fee her him his it job law man map me new no now off old on one out pay so six ten them top two up us
    use way web yes you
"""
_WHOLE_WORDS = frozenset(_SHORT_WORDS.split())


class Sentence(NamedTuple):
    """A sentence and its place in the text it was taken from; no white space at its ends."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of `text` in order; what is between them is white space."""
    found: list[Sentence] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end() if match.group().strip() else match.start()
        if "\n" not in match.group() and _ends_in_abbreviation(text[start:end]):
            continue
        _take(found, text, start, end)
        start = match.end()
    _take(found, text, start, len(text))
    return found


def _ends_in_abbreviation(piece: str) -> bool:
    # in "3. step", "No. 5", "Dr. Who" and "e.g. this" the mark belongs to the word
    if _ORDINAL.search(piece):
        return True
    match = _SHORT.search(piece)
    return match is not None and match.group(1).lower() not in _WHOLE_WORDS


def _take(found: list[Sentence], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        first = start + len(piece) - len(piece.lstrip())
        found.append(Sentence(stripped, first, first + len(stripped)))

"""Where sentences begin and end, in prose, lists and tables alike.

Finer than documents/sentences.py, which packs passages: here lines and items stand alone, to be quoted.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from appliance.language.abbreviations import ABBREVIATIONS
from appliance.language.contents import CONTENTS_END, LEADER
from appliance.language.rows import rows_in
from appliance.language.stops import divides_address, only_numbers

_CLOSERS = r"""["'\u201d\u2019»)\]]*(?:\s*\[\d+\])*"""
_OPENER = r"""["'\u201c\u2018«(\[¿¡]*[^\W_a-zß-öø-ÿ]"""
# a line of contents; an end mark before a capital or a digit; a full-width one; an empty line; an item; a line perhaps wrapped
_END = re.compile(
    rf"(?P<contents>{CONTENTS_END})|(?P<leader>{LEADER})|(?P<before>\n)(?=[^\n]*?{LEADER})"
    rf"|(?<=[.!?…]){_CLOSERS}\s+(?={_OPENER})"
    r"|[\u3002\uff01\uff1f]+|(?P<break>\n\s*\n)|\n(?=\s*(?:[-•*\u2013|]\s|\d+(?:(?:\.\d+){2,})?[.)]\s))"
    r"|(?P<line>\n)(?=\s*[^\W_a-zß-öø-ÿ])"
)
_FULL_LINE = 0.7
"""A line at least so long, as a share of the longest, was probably wrapped rather than ended."""
_ORDINAL = re.compile(r"(?:^|\s)(?:[12]?\d|3[01])\.$")
_SHORT = re.compile(r"(?:^|[\s(])((?:[^\W\d_]\.)*[^\W\d_]|[^\W\d_]+)\.$")


class Sentence(NamedTuple):
    """A sentence and its place in the text it was taken from; no white space at its ends."""

    text: str
    start: int
    end: int
    row: str = ""
    """How a row of a table is told, where this is one: each value behind the name of its column."""
    names: bool = False
    """Whether it only names the columns of the rows below."""

    @property
    def told(self) -> str:
        """What it says to whoever sees nothing else."""
        return self.row or self.text


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of `text` in order; what is between them is white space. A line of a table's cells stands alone."""
    found: list[Sentence] = []
    at = 0
    for row in rows_in(text):
        found += _sentences_from(text[at : row.start], at)
        found.append(Sentence(text[row.start : row.end], row.start, row.end, row.told, row.names))
        at = row.end
    return found + _sentences_from(text[at:], at)


def _sentences_from(part: str, offset: int) -> list[Sentence]:
    return [Sentence(text, start + offset, end + offset) for text, start, end, *_ in _in_prose(part)]


def _in_prose(text: str) -> list[Sentence]:
    found: list[Sentence] = []
    start = 0
    kind: str | None = None
    full = _FULL_LINE * max((len(line) for line in text.split("\n")), default=0)
    for match in _END.finditer(text):
        if match["leader"] or (match["before"] and kind == "contents"):
            continue  # within a line, or between the lines of one entry
        end = match.end() if match.group().strip() else match.start()
        if match["line"] and len(text[text.rfind("\n", 0, end) + 1 : end].rstrip()) >= full:
            continue
        if "\n" not in match.group() and _ends_in_abbreviation(text[start:end]):
            continue
        if match["break"] and divides_address(text, match.start(), match.end()):
            continue  # a web address that was divided where a page's lines stand apart
        _take(found, text, start, end)
        start, kind = match.end(), match.lastgroup
    _take(found, text, start, len(text))
    return found


def repeats_itself(text: str) -> bool:
    """Whether a finished sentence of a growing text stands in it twice; small models do that until they are stopped."""
    if not text.rstrip(" ").endswith((".", "!", "?", "\n", "\u3002")):
        return False
    finished = [sentence.text.casefold() for sentence in split_sentences(text)]
    return len(finished) > 1 and finished[-1] in finished[:-1]


def _ends_in_abbreviation(piece: str) -> bool:
    # in "3. step", "Dr. Who" and "e.g. this" the mark belongs to the word; so does it in "No. 5", but not in "no."
    if _ORDINAL.search(piece) or only_numbers(piece, 0, len(piece)):
        return True
    match = _SHORT.search(piece)
    if match is None:
        return False
    word = match.group(1)
    return len(word) == 1 or "." in word or word == "No" or word.lower() in ABBREVIATIONS


def _take(found: list[Sentence], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        first = start + len(piece) - len(piece.lstrip())
        found.append(Sentence(stripped, first, first + len(stripped)))

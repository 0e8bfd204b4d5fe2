"""Where sentences end, by their marks; written for running text in most scripts, not for any one language.

Coarser than chat/sentences.py, which quotes: here passages are packed, and a line is no end unless a mark or an item says so.
"""

# ruff: noqa: RUF001 - the marks of other scripts look like ours

from __future__ import annotations

import re

from appliance.language.abbreviations import ABBREVIATIONS
from appliance.language.contents import CONTENTS_END, LEADER
from appliance.language.stops import divides_address, only_numbers

_END = re.compile(
    rf"""
    (?P<contents>{CONTENTS_END})
  | (?P<leader>{LEADER})
  | (?P<before>\n)(?=[^\n]*?{LEADER})                    # a line of a table of contents stands alone
  | (?P<break>\n[ \t\u3000]*(?:\n[ \t\u3000]*)+)         # an empty line ends anything
  | (?P<wide>[。！？．｡]+[”’」』）】〉》"')\]]*)              # full-width marks need no space after them
  | (?P<mark>[.!?…؟۔।॥։]+(?:["'”’»)\]]|[ \u00a0\u202f]»)*)(?=[^\S\t]|$)   # others do, not at the end of a cell
  | (?P<entry>\n)(?=[ \t]*(?:[-*•‣◦▪–]|\(?\d{{1,3}}(?:(?:\.\d{{1,3}}){{2,}})?[.)]|[a-z][.)])[ \t])   # the next list entry
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"(\w+)$")


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Spans of the sentences between `start` and `end`, without white space around them; together they hold all else."""
    stop = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    kind: str | None = None
    for found in _END.finditer(text, start, stop):
        if found.lastgroup == "leader" or (found.lastgroup == "mark" and not _ends(text, begin, found)):
            continue
        if found.lastgroup == "before" and kind == "contents":
            continue  # an entry of several lines
        if found.lastgroup == "break" and divides_address(text, found.start(), found.end()):
            continue
        _add(spans, text, begin, found.end())
        begin, kind = found.end(), found.lastgroup
    _add(spans, text, begin, stop)
    return spans


def _ends(text: str, begin: int, found: re.Match[str]) -> bool:
    if not found.group().startswith("."):
        return True
    following = text[found.end() : found.end() + 3].lstrip()
    if following and following[0].islower():
        return False
    if len(found.group()) > 1:
        return True
    if only_numbers(text, begin, found.end()):
        return False
    word = _LAST_WORD.search(text, max(begin, found.start() - 20), found.start())
    if word is None:
        return True
    last = word.group(1)
    # "J. S. Bach", "Art. 5", "am 3. Mai": the stop belongs to the word
    initial = len(last) == 1 and last.isalpha()
    ordinal = last.isdigit() and len(last) <= 2 and "\n" not in text[found.end() : found.end() + 1]
    return not (initial or ordinal or last.lower() in ABBREVIATIONS)


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))

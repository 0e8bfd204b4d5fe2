"""Tables of a PDF, which knows none: rows whose words leave the same strips of the page free.

The space between two cells becomes a tab, one character for one, so that offsets stay. Only what stands on a single line is
seen: a cell of several lines ends the table. Two columns of running text, justified lines, lists and tables of contents leave
strips free as well and are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pypdfium2 import raw

from appliance.documents.parsing.headings import Line
from appliance.language.contents import is_contents_line

# widths, as shares of a line's height
_WIDE = 0.9
_STRIP = 0.3
_MEAN = 1.1
_EVEN = 0.1
_SAME_LINE = 0.5
_FURTHER = 1.3
"""So many times as far."""
_ROW_APART = 4.0
_TALK_WORDS, _TALK_CHARACTERS = 4, 30
"""A column whose cells are longer on average is prose, and a table has one such column at most."""
_ROWS_OF_TWO = 3
"""Two columns are a table from so many rows on, more columns from two."""
_SPACE = re.compile(r"(?<=\S)\s+(?=\S)")
_BEFORE_ONE = re.compile(r"(?<=\S)\s+(?=\S(?:\s|$))")
_MARKER = re.compile(r"\W|\(?\w{1,3}[.):]|\d+(?:\.\d+)*")


class _Gap(NamedTuple):
    """White space between two words: offsets on the page, and where it begins and ends across."""

    start: int
    end: int
    left: float
    right: float

    @property
    def width(self) -> float:
        return self.right - self.left


@dataclass(slots=True)
class _Row:
    line: Line
    gaps: list[_Gap]
    left: float
    right: float
    met: list[_Gap | None] = field(default_factory=list)
    """For each strip the gap that it lies in; None where it lies beside the row."""

    @property
    def wide(self) -> list[_Gap]:
        return [gap for gap in self.gaps if gap.width >= _WIDE * self.line.height]


@dataclass(slots=True)
class _Block:
    """Rows so far, and the strips that all of them leave free."""

    rows: list[_Row]
    strips: list[tuple[float, float]]
    above: _Row | None
    """The line before the first row; names that fill their columns leave no wide gaps."""


def straighten(text_page: Any, characters: list[str]) -> None:
    """Put line ends where they belong about words of a single character, whose direction PDFium does not know.

    It breaks the line before such a cell, or goes on with it from the line above.
    """
    box, handle, ask = raw.FS_RECTF(), text_page.raw, raw.FPDFText_GetLooseCharBox
    for space in _BEFORE_ONE.finditer("".join(characters)):
        start, end = space.span()
        ask(handle, start - 1, box)
        left, right, top, height = box.left, box.right, box.top, box.top - box.bottom
        ask(handle, end, box)
        if "\n" in space.group():
            if abs(box.top - top) < _SAME_LINE * height and box.left > right:
                characters[start:end] = " " * (end - start)
        elif top - box.top > _SAME_LINE * height and box.left < left:
            characters[end - 1] = "\n"


def mark_columns(text_page: Any, characters: list[str], lines: Sequence[Line]) -> None:
    """Put tabs between the cells of whatever is a table."""
    block: _Block | None = None
    above: _Row | None = None
    for line in lines:
        row = _row(text_page, characters, line)
        if block is not None and (row is None or not _joins(block, row)):
            _mark(block, characters)
            block = None
        if block is None and row is not None and row.wide:
            strips = [(gap.left, gap.right) for gap in row.wide]
            row.met = [*row.wide]
            block = _Block([row], strips, above)
        above = row
    if block is not None:
        _mark(block, characters)


def _row(text_page: Any, characters: Sequence[str], line: Line) -> _Row | None:
    """The line with its gaps; None where it can be no row."""
    if abs(line.top - line.last_top) > _SAME_LINE * line.height:
        return None
    text = "".join(characters[line.start : line.end])
    box, handle, ask = raw.FS_RECTF(), text_page.raw, raw.FPDFText_GetLooseCharBox
    gaps = []
    for space in _SPACE.finditer(text):
        start, end = line.start + space.start(), line.start + space.end()
        ask(handle, start - 1, box)
        left = box.right
        ask(handle, end, box)
        gaps.append(_Gap(start, end, left, box.left))
    if not gaps or is_contents_line(text):
        return None
    ask(handle, line.start, box)
    left = box.left
    ask(handle, line.end - 1, box)
    return _Row(line, gaps, left, box.right)


def _joins(block: _Block, row: _Row) -> bool:
    """Take the row into the block, its strips narrowed to what the row leaves free, if it leaves all of them free."""
    last, height = block.rows[-1], row.line.height
    if not 0 < last.line.top - row.line.top <= _ROW_APART * height:
        return False
    strips: list[tuple[float, float]] = []
    met: list[_Gap | None] = []
    for left, right in block.strips:
        gap = max(row.gaps, key=lambda gap: min(gap.right, right) - max(gap.left, left))
        if min(gap.right, right) - max(gap.left, left) >= _STRIP * height:
            strips.append((max(gap.left, left), min(gap.right, right)))
            met.append(gap)
        elif row.left - left >= _STRIP * height and row.left > right - _STRIP * height:
            strips.append((left, min(right, row.left)))
            met.append(None)
        elif right - row.right >= _STRIP * height:
            strips.append((max(left, row.right), right))
            met.append(None)
        else:
            return False
    used = {gap for gap in met if gap is not None}
    if not used or not used.intersection(row.wide):
        return False
    extra = [gap for gap in row.wide if gap not in used]
    if extra:
        first = block.rows[0]
        corner = (extra[0].left, min(extra[0].right, first.left))
        if len(extra) > 1 or len(block.rows) > 1 or extra[0] != row.gaps[0] or corner[1] - corner[0] < _STRIP * height:
            return False
        first.met.insert(0, None)  # the corner above a column of names is often blank
        strips.insert(0, corner)
        met.insert(0, extra[0])
    block.strips, row.met = strips, met
    block.rows.append(row)
    return True


def _mark(block: _Block, characters: list[str]) -> None:
    if not _is_table(block, characters):
        return
    if block.above is not None and _names(block, block.above, characters):
        block.rows.insert(0, block.above)
    rows = block.rows
    for position, row in enumerate(rows):
        tabs = _tabs(row, characters)
        if position == 0 and len(tabs) < len(block.strips):
            continue  # names that do not stand one above each column would be taken for others
        for at in tabs:
            characters[at] = "\t"
        if row.line.start - 1 in tabs:
            characters[row.line.start - 2] = "\n"


def _names(block: _Block, row: _Row, characters: Sequence[str]) -> bool:
    """Whether the words of a line stand above the columns, further apart between two columns than within one."""
    near = 0 < row.line.top - block.rows[0].line.top <= _ROW_APART * row.line.height
    if not near or "\t" in characters[row.line.start : row.line.end]:
        return False
    row.met = [max(row.gaps, key=lambda gap: min(gap.right, right) - max(gap.left, left)) for left, right in block.strips]
    between = {gap for gap in row.met if gap is not None}
    over = all(
        gap is not None and min(gap.right, right) - max(gap.left, left) > 0
        for gap, (left, right) in zip(row.met, block.strips, strict=True)
    )
    within = [gap.width for gap in row.gaps if gap not in between]
    return over and len(between) == len(block.strips) and min(gap.width for gap in between) > _FURTHER * max(within, default=0)


def _tabs(row: _Row, characters: Sequence[str]) -> set[int]:
    """Offsets that become tabs; fewer than there are strips where the page has too few characters between two cells."""
    line, met = row.line, row.met
    tabs: set[int] = set()
    for gap in {gap for gap in met if gap is not None}:
        tabs.update(range(gap.start, min(gap.end, gap.start + met.count(gap))))
    # PDFium ends lines with CR LF, of which one may go: the line before ends a character earlier, or this one with a tab
    if met[0] is None and characters[max(0, line.start - 2) : line.start] == [" ", "\n"]:
        tabs.add(line.start - 1)
    if met[-1] is None and characters[line.end : line.end + 2] == [" ", "\n"]:
        tabs.add(line.end)
    return tabs


def _is_table(block: _Block, characters: Sequence[str]) -> bool:
    rows, columns = block.rows, len(block.strips) + 1
    if len(rows) < (_ROWS_OF_TWO if columns == 2 else 2):
        return False
    for at in range(columns - 1):
        widths = [gap.width for row in rows if (gap := row.met[at]) is not None]
        if not widths or sum(widths) < _MEAN * rows[0].line.height * len(widths):
            return False
    cells = [_cells(row, characters) for row in rows]
    numbered = sum(bool(_MARKER.fullmatch(row[0])) for row in cells)
    if columns == 2 and numbered * 2 > len(rows):
        return False  # a list
    if columns == 3 and numbered == len(rows) and all(row[-1].isdigit() for row in cells):
        return False  # a table of contents without leaders
    return not _is_justified(rows) and sum(_is_talk([row[at] for row in cells]) for at in range(columns)) < 2


def _cells(row: _Row, characters: Sequence[str]) -> list[str]:
    found, start = [], row.line.start
    for gap in row.met:
        end = start if gap is None else max(start, gap.start)
        found.append("".join(characters[start:end]).strip())
        start = start if gap is None else max(start, gap.end)
    return [*found, "".join(characters[start : row.line.end]).strip()]


def _is_talk(column: Sequence[str]) -> bool:
    said = [cell for cell in column if cell]
    words = sum(len(cell.split()) for cell in said)
    return words > _TALK_WORDS * len(said) or sum(map(len, said)) > _TALK_CHARACTERS * len(said)


def _is_justified(rows: Sequence[_Row]) -> bool:
    """Whether in most rows the words stand equally far apart, and in each row another distance."""
    even = [
        [gap.width for gap in row.gaps]
        for row in rows
        if len(row.gaps) > 1 and _alike([gap.width for gap in row.gaps], row.line.height)
    ]
    return len(even) * 2 > len(rows) and not _alike([widths[0] for widths in even], rows[0].line.height)


def _alike(widths: Sequence[float], height: float) -> bool:
    return max(widths) - min(widths) <= _EVEN * height

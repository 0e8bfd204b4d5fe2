"""Rows of a table: which row names the columns, and how a row is told so that it explains itself. Pure.

Tables of formats that mark them are written out so when they are read. Those of a PDF keep their characters where they stand on
the page, with tabs between the cells, and are told so when they are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_NAME_CHARACTERS = 60
_FIGURE = re.compile(r"[^\w]*(?:[A-Z]{3}\s)?\d")
_LINE = re.compile(r"[^\n]+")


class Row(NamedTuple):
    """A line of cells: its place in the text, and what it says, each value behind the name of its column if that is known."""

    start: int
    end: int
    told: str
    names: bool
    """Whether it names the columns of the rows below it, and says nothing itself."""


def rows_in(text: str) -> list[Row]:
    """The lines of `text` that have tabs in them, in order. The first of a table may name its columns."""
    if "\t" not in text:
        return []
    return [row for table in _tables(text) for row in _told(table)]


def _tables(text: str) -> Iterator[list[tuple[int, list[str]]]]:
    """Neighbouring lines of cells: where each begins, and its cells."""
    table: list[tuple[int, list[str]]] = []
    for line in _LINE.finditer(text):
        if "\t" in line.group():
            table.append((line.start(), line.group().split("\t")))
        elif line.group().strip() and table:
            yield table
            table = []
    if table:
        yield table


def _told(table: Sequence[tuple[int, list[str]]]) -> Iterator[Row]:
    names = [" ".join(cell.split()) for cell in table[0][1]]
    same = [[cell.strip() for cell in cells] for _, cells in table if len(cells) == len(names)]
    named = figures_below(same)
    for position, (start, cells) in enumerate(table):
        line = "\t".join(cells)
        first, end = start + len(line) - len(line.lstrip()), start + len(line.rstrip())
        said = [" ".join(cell.split()) for cell in cells]
        if named and position and len(said) == len(names):
            told = "; ".join(with_name(name, cell) for name, cell in zip(names, said, strict=True) if cell)
        else:
            told = " | ".join(cell for cell in said if cell)
        if told:
            yield Row(first, end, told, named and not position)


def with_name(name: str, value: str) -> str:
    """A value behind the name of its column, where that has one fit to be repeated in every row."""
    name = name.rstrip(": ")
    return f"{name}: {value}" if name and len(name) <= _NAME_CHARACTERS else value


def reads_as_headers(row: Sequence[str]) -> bool:
    """Whether a first row that nothing marks as headers seems to be: short, worded, all different."""
    cells = [" ".join(cell.split()) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    named = [cell for cell in cells if cell]
    worded = all(any(mark.isalpha() for mark in cell) and len(cell) <= _NAME_CHARACTERS for cell in named)
    return len(named) > 1 and len(set(named)) == len(named) and worded and len(named) * 2 > len(cells)


def figures_below(rows: Sequence[Sequence[str]]) -> bool:
    """Whether below a first row of words some column holds nothing but figures, as it does below a header."""
    if len(rows) < 2 or not reads_as_headers(rows[0]):
        return False
    for column, name in enumerate(rows[0]):
        below = [row[column].strip() for row in rows[1:] if column < len(row) and row[column].strip()]
        if below and not _FIGURE.match(name) and all(_FIGURE.match(cell) for cell in below):
            return True
    return False

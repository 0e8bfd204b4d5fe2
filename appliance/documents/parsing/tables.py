"""Tables as lines of text: each value behind the name of its column, so that a row found alone explains itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from appliance.language.rows import reads_as_headers, with_name

_REPEATED_CHARACTERS = 80
"""A cell that spans several rows is told again in each of them if it is no longer than this."""
_COLUMNS = 500
_ROWS_SPANNED = 1_000


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says and how far it reaches."""

    text: str
    across: int = 1
    down: int = 1
    title: bool = False
    """Names what stands beside or below it."""
    repeated: bool = False
    """Stands in a row above and reaches down to this one."""


class Table:
    """One table, row by row."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._naming = False
        self._above: dict[int, tuple[Cell, int]] = {}

    @property
    def named(self) -> bool:
        """Whether its columns have names by now."""
        return any(self._names)

    def line(self, cells: Sequence[Cell], *, header: bool = False) -> str:
        """The next row: `Header: value; Header: value` below a header, else its values joined by bars; "" if it is blank."""
        placed = self._placed(cells)
        said = [cell.text for _, cell in placed if cell.text and not cell.repeated]
        if not said:
            return ""
        if header:
            self._take_names(placed)
            return " | ".join(said)
        self._naming = False
        if len(said) == 1 and placed[0][1].across > 1:
            return said[0]
        if self._names:
            return "; ".join(self._described(column, cell.text) for column, cell in placed if cell.text)
        if len(said) > 1 and placed[0][1].title and not placed[1][1].title and placed[0][1].text:
            return f"{said[0].rstrip(': ')}: {' | '.join(said[1:])}"
        return " | ".join(said)

    def _placed(self, cells: Sequence[Cell]) -> list[tuple[int, Cell]]:
        """Each cell at its column, those that reach down from rows above among them."""
        placed: list[tuple[int, Cell]] = []
        hanging, self._above = self._above, {}
        column = 0
        for cell in cells:
            while column in hanging:
                column = self._place(placed, column, *hanging.pop(column))
            across, down = max(1, min(cell.across, _COLUMNS)), min(cell.down, _ROWS_SPANNED)
            column = self._place(placed, column, Cell(" ".join(cell.text.split()), across, title=cell.title), down)
        for later in sorted(place for place in hanging if place >= column):
            self._place(placed, later, *hanging[later])
        return placed

    def _place(self, placed: list[tuple[int, Cell]], column: int, cell: Cell, rows: int) -> int:
        placed.append((column, cell))
        if rows > 1:
            text = cell.text if len(cell.text) <= _REPEATED_CHARACTERS else ""
            self._above[column] = Cell(text, cell.across, title=cell.title, repeated=True), rows - 1
        return column + cell.across

    def _take_names(self, placed: Sequence[tuple[int, Cell]]) -> None:
        """A second line of headers tells the first more closely; one cell over all columns names none of them."""
        if len(placed) < 2:
            return
        before = self._names if self._naming else []
        self._naming = True
        self._names = [""] * min(_COLUMNS, max(column + cell.across for column, cell in placed))
        self._names[: len(before)] = before[: len(self._names)]
        for column, cell in placed:
            for place in range(column, min(column + cell.across, len(self._names))):
                if cell.text and not cell.repeated:
                    self._names[place] = f"{self._names[place]} {cell.text}".strip()

    def _described(self, column: int, text: str) -> str:
        return with_name(self._names[column] if column < len(self._names) else "", text)


def reach(written: str | None) -> int:
    """How many columns or rows a cell says that it takes; 1 for whatever is no small number."""
    text = (written or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def described_rows(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table whose first row may be read as headers, or not: nothing marks them there."""
    table = Table()
    for position, row in enumerate(rows):
        # beyond the columns that can have names only what is said counts, not where
        told = row if len(row) <= _COLUMNS else [*row[:_COLUMNS], *(text for text in row[_COLUMNS:] if text)]
        line = table.line([Cell(text) for text in told], header=position == 0 and reads_as_headers(told))
        if line:
            yield line

"""Rows of tables as lines."""

from __future__ import annotations

import pytest

from appliance.documents.parsing.tables import Cell, Table, described_rows
from appliance.language.rows import figures_below


def lines(*rows, headers=1):
    table = Table()
    told = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    return [table.line(row, header=position < headers) for position, row in enumerate(told)]


def test_below_a_header_each_value_stands_behind_the_name_of_its_column():
    rows = lines(["Item", "Maximum:", ""], ["Hotel in a capital city, per night", "145", ""], ["Meal", "", "by receipt"])
    assert rows == ["Item | Maximum:", "Item: Hotel in a capital city, per night; Maximum: 145", "Item: Meal; by receipt"]


def test_without_a_header_values_are_joined_and_blank_ones_left_out():
    assert lines(["Hotel", " ", "145 \n euros", ""], ["", ""], headers=0) == ["Hotel | 145 euros", ""]


def test_a_title_before_a_row_names_what_follows():
    assert lines([Cell("Born:", title=True), "1912"], headers=0) == ["Born: 1912"]


def test_two_lines_of_headers_name_a_column_together():
    rows = lines([Cell("Room", down=2), Cell("Fee", across=2)], ["Summer", "Winter"], ["Hall", "1", "2"], headers=2)
    assert rows == ["Room | Fee", "Summer | Winter", "Room: Hall; Fee Summer: 1; Fee Winter: 2"]


def test_a_cell_that_spans_rows_is_told_in_each_if_it_is_short():
    named = lines(["Land", "City"], [Cell("Norway", down=2), "Bergen"], ["Oslo"])
    assert named[1:] == ["Land: Norway; City: Bergen", "Land: Norway; City: Oslo"]
    long = lines(["Land", "City"], [Cell("n" * 100, down=2), "Bergen"], ["Oslo"])
    assert long[2] == "City: Oslo"


def test_a_line_over_all_columns_names_none_of_them():
    assert lines([Cell("Rates", across=2)], ["Hotel", "145"]) == ["Rates", "Hotel | 145"]
    assert lines(["Item", "Maximum"], [Cell("Europe", across=2)], ["Hotel", "145"])[1:] == ["Europe", "Item: Hotel; Maximum: 145"]


def test_a_table_cannot_grow_beyond_its_text():
    rows = lines([Cell("a", across=10**9), "b"], [Cell("x", down=10**9), "y"])
    assert max(len(row) for row in rows) < 100


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["Room", "Fee"], ["Hall", "20 euros"]], ["Room | Fee", "Room: Hall; Fee: 20 euros"]),
        ([["Hall", "20"], ["Attic", "5"]], ["Hall | 20", "Attic | 5"]),
    ],
)
def test_a_first_row_of_words_reads_as_headers(rows, expected):
    assert list(described_rows(rows)) == expected


def test_figures_in_a_column_tell_that_the_words_above_are_its_header():
    assert figures_below([["Item", "Maximum"], ["Hotel", "145"], ["Meal", "EUR 30"]])
    assert not figures_below([["Name", "Alan"], ["Street", "Main Street 5"]])
    assert not figures_below([["Item", "Maximum"]])

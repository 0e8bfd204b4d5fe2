"""How lines of cells are told."""

from __future__ import annotations

import pytest

from appliance.language.rows import rows_in


def told(text: str) -> list[str]:
    return [row.told for row in rows_in(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Kind\tWho\nLeave\tPersonnel office\nRota\tPlanner",  # nothing shows that the first row names the others
        "Avocet\t2013\nCurlew\t2004",
        "\t2024\t2025\nIncome\t10\t12",
        "Ship\tBuilt\tCars\nAvocet\t2013",
        "Ship\tBuilt\n\nand so on\n\nAvocet\t2013",
    ],
)
def test_without_names_above_a_row_is_told_as_it_stands(text):
    assert not any(row.names or ": " in row.told for row in rows_in(text))


def test_each_value_stands_behind_the_name_of_its_column_and_blank_cells_are_left_out():
    text = "\tBuilt \t Cars:\n Avocet\t2013\t 74 \n\nCurlew\t2004\t\nBoth\t136"
    assert told(text) == ["Built | Cars:", "Avocet; Built: 2013; Cars: 74", "Curlew; Built: 2004", "Both | 136"]
    assert [row.names for row in rows_in(text)] == [True, False, False, False]
    assert [text[row.start : row.end] for row in rows_in(text)] == [
        "Built \t Cars:",
        "Avocet\t2013\t 74",
        "Curlew\t2004",
        "Both\t136",
    ]


def test_text_between_two_tables_parts_them():
    text = "Ship\tCars\nAvocet\t74\nOur quays:\nQuay\tMetres\nNorthbank\t120"
    assert told(text) == ["Ship | Cars", "Ship: Avocet; Cars: 74", "Quay | Metres", "Quay: Northbank; Metres: 120"]


def test_text_without_cells_has_no_rows():
    assert rows_in("Ship Built\nAvocet 2013") == []
    assert rows_in("\t\n \t ") == []

"""Which sentences of the passages are quoted."""

from __future__ import annotations

import pytest

from appliance.chat.quotes import best_quotes
from appliance.language.contents import is_contents_line
from appliance.retrieval.models import Hit


def quoted(question: str, text: str) -> list[str]:
    hit = Hit(1, "d", "faq.pdf", "c", 1, 0, len(text), "", text, 20, 1.0, 0.5, 1.0)
    return [quote.text for quote in best_quotes(question, [hit], 3)]


def test_a_line_of_a_table_of_contents_is_never_quoted():
    text = "7 How does one pronounce Debian. . . . . . 11\n8 Who is Debian named after .......12\n\nDebian is pronounced deb-ee-n by most."
    assert quoted("How is Debian pronounced?", text) == ["Debian is pronounced deb-ee-n by most."]


def test_an_entry_of_a_list_keeps_its_number_and_loses_its_bullet():
    assert quoted("Where do I sign the form?", "1. Print the form at the desk.\n2. Sign the form in blue ink.")[0].startswith(
        "2. Sign"
    )
    assert quoted("Where do I sign the form?", "- Sign the form in blue ink.") == ["Sign the form in blue ink."]


def test_a_row_of_a_table_is_quoted_alone():
    text = "Item | Maximum\n\nItem: Hotel in a capital city, per night; Maximum: 145\n\nItem: Meal; Maximum: 30"
    assert quoted("What may a hotel cost per night?", text) == ["Item: Hotel in a capital city, per night; Maximum: 145"]


SHIP_TABLE = (
    "In 2025 we carried 1.2 million passengers and 214,000 vehicles.\n\n"
    "Ship\tBuilt\tPassengers\tDrive \nAvocet\t2013\t450\tdiesel \n\nSandpiper\t2022\t300\tbattery \n"
    "Sandpiper charges for nine minutes at each quay."
)


def test_a_row_of_cells_is_told_with_the_names_above_it_and_cited_where_it_stands():
    hit = Hit(1, "d", "faq.pdf", "c", 1, 0, len(SHIP_TABLE), "", SHIP_TABLE, 20, 1.0, 0.5, 1.0)
    best = best_quotes("How many passengers fit on Sandpiper?", [hit], 1)[0]
    assert best.text == "Ship: Sandpiper; Built: 2022; Passengers: 300; Drive: battery"
    assert SHIP_TABLE[best.start : best.end] == "Sandpiper\t2022\t300\tbattery"


@pytest.mark.parametrize("question", ["Which ship was built?", "What drive does a ship have?", "Passengers and drive"])
def test_the_names_of_columns_are_never_quoted_alone(question):
    assert not any(text.startswith("Ship | ") or text.startswith("Ship Built") for text in quoted(question, SHIP_TABLE))


def test_a_table_that_begins_in_the_middle_is_quoted_as_it_stands():
    assert quoted("When was Avocet built?", "Avocet\t2013\t450\nSandpiper\t2022\t300")[0] == "Avocet | 2013 | 450"


SHIPS = (
    "All ships carry passengers and cars, 1,200 passengers on a good day. Avocet carries 450 of them. Bittern carries 300. "
    "Curlew carries 150. The newest ship carries as many passengers as can be counted."
)


def test_a_sentence_with_the_name_that_is_asked_for_comes_first():
    assert quoted("How many passengers and cars can Bittern take on a day?", SHIPS)[0] == "Bittern carries 300."
    assert "Bittern" not in quoted("How many passengers can a ship take?", SHIPS)[0]


@pytest.mark.parametrize("text", ["2.1 Scope . . . . 7", "Scope.......iv", "Scope … … … 3"])
def test_leaders_tell_a_line_of_contents(text):
    assert is_contents_line(text)


@pytest.mark.parametrize(("drink", "quotes"), [("Tea", 1), ("Coffee", 2)])
def test_a_sentence_that_fits_less_is_quoted_where_it_answers_another_part(drink, quotes):
    text = f"Iced tea costs two euros at breakfast in the hall. The rooms are dry. {drink} costs three euros at breakfast in the hall."
    found = quoted("What do iced tea and coffee cost at breakfast in the hall?", text)
    assert [sentence.split()[0] for sentence in found] == ["Iced", drink][:quotes]


@pytest.mark.parametrize(
    "text", ["Well... maybe.", "Really....", "It is version 1.2.3.4.5.6 now.", "E. g. U. S. Army.", "def __init__(self): _______"]
)
def test_other_stops_do_not(text):
    assert not is_contents_line(text)

"""Which lines of a PDF become rows of cells, and that everything stays where it stands on the page."""

from __future__ import annotations

import pytest

from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.messages import PageText
from appliance.documents.parsing.pdf import locate, parse_pdf
from tests.documents_samples import Placed, placed_pdf, right, table

PROSE = (
    "The ramp is closed two minutes",
    "before departure and nobody opens",
    "it again, for whomever. Whoever",
    "comes late waits for the next ship",
    "and keeps the ticket that was paid",
)


@pytest.fixture
def read(tmp_path):
    def lines(placed: list[Placed]) -> list[str]:
        path = tmp_path / "page.pdf"
        path.write_bytes(placed_pdf(placed))
        pages: list[PageText] = []
        parse_pdf(str(path), Draft(pages.append, output_bytes=1_000_000), lambda _: None)
        return [line.rstrip(" ") for line in pages[0].text.split("\n") if line.strip()]

    return lines


def test_two_columns_of_running_text_are_no_table(read):
    placed = [item for row, text in enumerate(PROSE) for item in ((72, 700 - 14 * row, text), (320, 700 - 14 * row, text))]
    assert not any("\t" in line for line in read(placed))


def test_three_narrow_columns_of_running_text_are_no_table(read):
    short = [text.split()[:5] for text in PROSE]
    placed = [(72 + 160 * at, 700 - 14 * row, " ".join(words)) for row, words in enumerate(short) for at in range(3)]
    assert not any("\t" in line for line in read(placed))


def test_a_table_of_contents_is_no_table(read):
    entries = [("1", "Scope of this document", "3"), ("2", "Working hours", "12"), ("3", "Pay", "40")]
    bare = table(entries, (72, 100, 400))
    led: list[Placed] = []
    for row, (_, title, number) in enumerate(entries):
        led += [(72, 500 - 14 * row, f"{title} {'. ' * 30}"), (400, 500 - 14 * row, f"page {number}")]
    assert not any("\t" in line for line in read([*bare, *led]))


def test_justified_lines_are_no_table(read):
    lines = [("who", "is", "late", "has", "to"), ("go", "by", "bus", "and", "be"), ("in", "by", "ten", "or", "so")]
    even = [item for row, words in enumerate(lines) for item in _spread(72, 700 - 14 * row, words, 24 + 3 * row)]
    assert not any("\t" in line for line in read(even))


def _spread(x: float, y: float, words: tuple[str, ...], apart: float) -> list[Placed]:
    from reportlab.pdfbase.pdfmetrics import stringWidth

    placed: list[Placed] = []
    for word in words:
        placed.append((x, y, word))
        x += stringWidth(word, "Helvetica", 11) + apart
    return placed


def test_a_list_is_no_table(read):
    placed = table([("1.", "Print the form"), ("2.", "Sign the form"), ("3.", "Keep a copy")], (72, 100))
    placed += table([("-", "a helmet"), ("-", "two gloves"), ("-", "a torch")], (72, 100), top=500)
    assert not any("\t" in line for line in read(placed))


def test_a_line_alone_is_no_table(read):
    assert not any("\t" in line for line in read([(72, 700, "Northbank"), (300, 700, "4 May"), (450, 700, "Page 1")]))


def test_numbers_set_to_the_right_stand_below_their_names(read):
    rows = [
        ("Item", right("Pieces"), right("Euros")),
        ("Rope", right("5"), right("1,240.00")),
        ("Hook", right("12,000"), right("7.5")),
    ]
    assert read(table(rows, (72, 250, 350))) == ["Item\tPieces\tEuros", "Rope\t 5\t1,240.00", "Hook\t12,000\t7.5"]


def test_names_that_fill_their_columns_belong_to_the_table_and_a_line_of_prose_does_not(read):
    rows = [("Kind of ticket", "Single fare", "Return"), ("Adult", "9.80", "17.60"), ("Child", "4.90", "8.80")]
    placed = table(rows, (72, 150, 214))
    assert read(placed) == ["\t".join(row) for row in rows]
    prose = "Whoever is late may go on the next"
    assert read([(72, 700, prose), *placed[3:]]) == [prose, *("\t".join(row) for row in rows[1:])]


def test_cells_of_several_words_stay_whole_and_prose_around_stays_as_it_is(read):
    rows = [
        ("Kind of supplement", "Per cent of the wage", "Hours"),
        ("Public holiday", "100", "0:00 to 24:00"),
        ("Stand-by at home, by day and by night", "40", "as ordered"),
    ]
    before, after = "Wages are paid on the 25th of the month, or on the working day before.", "If several meet, one is paid."
    placed = [(72, 714, before), *table(rows, (72, 290, 430)), (72, 658, after)]
    assert read(placed) == [before, *("\t".join(row) for row in rows), after]


def test_two_columns_of_short_cells_are_a_table_from_three_rows_on(read):
    rows = [("Ticket", "Euros"), ("Adult", "9.80"), ("Child under twelve", "4.90")]
    assert read(table(rows, (72, 300))) == ["Ticket\tEuros", "Adult\t9.80", "Child under twelve\t4.90"]
    assert read(table(rows[:2], (72, 300))) == ["Ticket Euros", "Adult 9.80"]


def test_blank_cells_keep_the_others_in_their_columns_or_stand_out(read):
    rows = [("", "Summer", "Winter", "All year"), ("Cars", "12", "", "20"), ("", "3", "4", "7"), ("Dogs", "1", "2", "")]
    found = read([(72, 760, "How many we take"), *table(rows, (72, 200, 300, 400)), (72, 600, "Ask at the desk.")])
    cells = [[cell.strip() for cell in line.split("\t")] for line in found[1:-1]]
    # between 12 and 20 there is one character, which cannot say that a cell is missing
    assert cells == [["", "Summer", "Winter", "All year"], ["Cars", "12", "20"], ["", "3", "4", "7"], ["Dogs", "1", "2", ""]]


def test_a_cell_of_one_character_stays_in_its_row(read):
    # on a page with little else PDFium breaks the line before such a cell, or goes on with it from the row above
    assert read(table([("Rope", "5", "7.50"), ("Hook", "6", "8.50"), ("Pin", "7", "9")], (72, 200, 300))) == [
        "Rope\t 5\t7.50",
        "Hook\t 6\t8.50",
        "Pin\t 7\t 9",
    ]


def test_a_row_is_found_where_it_stands_on_the_page(tmp_path, read):
    rows = [("", "Built", "Cars"), ("Avocet", "2013", "74"), ("Curlew", "2004", "62")]
    read(table(rows, (72, 200, 300)))
    pages: list[PageText] = []
    path = str(tmp_path / "page.pdf")
    parse_pdf(path, Draft(pages.append, output_bytes=1_000_000), lambda _: None)
    start = pages[0].text.index("Curlew")
    found = locate(path, 1, start, start + len("Curlew\t2004\t62"))
    assert min(left for left, *_ in found) == pytest.approx(72 / 595, abs=0.01)
    assert max(right_edge for _, _, right_edge, _ in found) == pytest.approx(312 / 595, abs=0.01)
    assert {round(top, 2) for _, top, _, _ in found} == {round((842 - 700 + 28 - 8) / 842, 2)}

from __future__ import annotations

import io
import os
import time

import pytest

from appliance.documents import sandbox
from appliance.documents.media_types import MediaType, check_upload
from appliance.documents.models import ParsedDocument
from appliance.documents.sandbox import ParseLimits, locate_in_child, parse_in_child, render_page_in_child
from appliance.errors import DocumentRejected
from tests import documents_samples as samples
from tests.documents_samples import HARBOUR, HEADING, KETTLE, SAMPLES, TITLE

LIMITS = ParseLimits(memory_mb=2_048, timeout_s=60, output_mb=16)


def read(content: bytes, media_type: str, limits: ParseLimits = LIMITS) -> ParsedDocument:
    return parse_in_child([content], media_type, limits)


def code_of(content: bytes, media_type: str, limits: ParseLimits = LIMITS) -> str:
    with pytest.raises(DocumentRejected) as refused:
        read(content, media_type, limits)
    return refused.value.stable_code


def whole(document: ParsedDocument) -> str:
    return "\n\n".join(page.text for page in document.pages)


# refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rules.pdf", "rules.docx", "rules.pptx", "rules.xlsx", "rules.odt", "rules.epub"])
def test_a_file_cut_short_is_damaged(name):
    content = SAMPLES[name]()
    cut = content[: len(content) // 3]
    assert code_of(cut, check_upload(name, cut)) == "document.corrupt"


@pytest.mark.parametrize(
    ("content", "media_type", "code"),
    [
        (samples.pdf(password="secret"), MediaType.PDF, "document.encrypted"),
        (samples.epub(protected=True), MediaType.EPUB, "document.encrypted"),
        (samples.pdf(pages=((), ()), heading=""), MediaType.PDF, "document.no_text"),
        (samples.docx(), MediaType.PPTX, "document.mislabelled"),
        (samples.odt(), MediaType.EPUB, "document.mislabelled"),
        (samples.epub(), MediaType.ODT, "document.mislabelled"),
        (samples.archive({"x": "y"}), MediaType.DOCX, "document.mislabelled"),
        (samples.archive({"word/document.xml": "<not closed"}), MediaType.DOCX, "document.corrupt"),
        (b"%PDF-1.7 and nothing more", MediaType.PDF, "document.corrupt"),
        (b"text" * 30_000 + b"\x00" * 50, MediaType.CSV, ""),
        (b"<html><body><script>only()</script></body></html>", MediaType.HTML, "document.empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(content, media_type, code):
    if code:
        assert code_of(content, media_type) == code
    else:
        assert read(content, media_type).pages


@pytest.mark.parametrize("memory_mb", [600])
def test_a_parser_that_wants_too_much_memory_is_stopped(memory_mb):
    content = b"<p>" + b"<b>x</b>" * 2_500_000
    limits = ParseLimits(memory_mb=memory_mb, timeout_s=60, output_mb=64)
    assert code_of(content, MediaType.HTML, limits) in {"document.parser_memory", "document.corrupt", "document.parser_crashed"}


def test_a_parser_that_takes_too_long_is_stopped():
    started = time.monotonic()
    content = samples.pdf(pages=[[f"line {row}" for row in range(40)]] * 300)
    assert code_of(content, MediaType.PDF, ParseLimits(2_048, 0, 16)) == "document.parser_timeout"
    assert time.monotonic() - started < 10


def test_more_text_than_allowed_is_refused():
    assert code_of(b"word " * 400_000, MediaType.TEXT, ParseLimits(2_048, 60, 1)) == "document.too_large"


def test_what_progress_raises_ends_the_child():
    class Enough(Exception):
        pass

    def stop(_done: int, _total: int) -> None:
        raise Enough

    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(Enough):
        parse_in_child([samples.pdf()], MediaType.PDF, LIMITS, stop)
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)


# formats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_its_sentences(name):
    document = read(SAMPLES[name](), check_upload(name, SAMPLES[name]()[:4096]))
    text = whole(document)
    assert KETTLE in text
    assert HARBOUR in text
    for page in document.pages:
        assert text[page.start : page.start + len(page.text)] == page.text
    if name not in {"rules.csv", "rules.xlsx", "rules.eml"}:
        titles = [text[heading.start : heading.end].lower() for heading in document.headings]
        assert titles[0] == HEADING.lower()


@pytest.mark.parametrize("name", ["rules.pdf", "rules.docx", "rules.html", "rules.eml", "rules.epub"])
def test_a_title_is_found_where_the_format_has_one(name):
    assert read(SAMPLES[name](), check_upload(name, SAMPLES[name]()[:4096])).title == TITLE


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"harbour " * 60_000, MediaType.TEXT),
        (b"h" * 480_000, MediaType.TEXT),
        (b",".join(b"column%d" % number for number in range(40_000)), MediaType.CSV),
        (b"<html><body><h1>" + b"harbour " * 60_000 + b"</h1></body></html>", MediaType.HTML),
    ],
    ids=["words", "one word", "one row", "one heading"],
)
def test_an_endless_line_is_cut_into_pages_of_ordinary_size_and_nothing_is_lost(content, media_type):
    document = read(content, media_type)
    assert max(len(page.text) for page in document.pages) <= 30_000
    kept = "".join(whole(document).split())
    assert kept.count("harbour") == content.count(b"harbour")
    assert kept.count("h") == content.count(b"h") - content.count(b"<h1>") * 2 - content.count(b"<html>") * 2
    assert kept.count("column") == content.count(b"column")


def test_a_page_too_long_to_be_worked_on_is_refused(monkeypatch):
    monkeypatch.setattr(sandbox, "PAGE_CHARACTERS", 10)
    assert code_of(samples.pdf(), MediaType.PDF) == "document.too_large"


def test_a_slide_is_a_page_even_a_blank_one_and_notes_count():
    document = read(samples.pptx(), MediaType.PPTX)
    assert [page.label for page in document.pages] == ["Slide 1", "Slide 2", "Slide 3"]
    assert document.pages[1].text == ""
    assert f"Notes: {HARBOUR}" in document.pages[2].text


def test_a_sheet_is_a_page_and_a_row_explains_itself():
    document = read(samples.xlsx(), MediaType.XLSX)
    assert [page.label for page in document.pages] == ["Sheet Rooms", "Sheet Gates"]
    assert f"Room: Signal room; Rule: {KETTLE}; Fee: 12.5" in document.pages[0].text


def test_chapters_follow_the_spine():
    document = read(samples.epub(), MediaType.EPUB)
    assert [KETTLE in page.text for page in document.pages] == [True, False]
    assert [page.label for page in document.pages] == [HEADING, "Untitled section"]


def test_menus_scripts_and_hidden_parts_of_a_page_are_left_out():
    content = (
        b"<html><body><nav>menu</nav><p hidden>h1dden</p><p style='display:none'>h2dden</p><script>s()</script><p>Seen</p>tail"
    )
    assert whole(read(content, MediaType.HTML)) == "Seen\n\ntail"


def test_a_row_of_a_page_names_its_columns():
    content = (
        b"<p>Fees</p><table><tr><th>Room</th><th>Fee</th><th></th></tr><tr><td><p>Hall</p></td><td>20 <b>euros</b></td><td></td></tr>"
        b"<tr><td rowspan=2>Attic</td><td><ul><li>5 euros</li><li>keys</li></ul></td></tr><tr><td>closed</td></tr></table>After"
    )
    lines = [
        "Fees",
        "Room | Fee",
        "Room: Hall; Fee: 20 euros",
        "Room: Attic; Fee: 5 euros / keys",
        "Room: Attic; Fee: closed",
        "After",
    ]
    assert whole(read(content, MediaType.HTML)) == "\n\n".join(lines)


def test_a_table_that_only_places_things_is_read_as_what_it_places():
    content = b"<table><tr><td>Left</td><td>Right<table><tr><td>Hall</td><td>20 euros</td></tr></table>below</td></tr></table>"
    assert whole(read(content, MediaType.HTML)) == "Left\n\nRight\n\nHall | 20 euros\n\nbelow"


def test_a_row_of_markdown_names_its_columns():
    content = b"Fees\n\n| Room | Fee |\n| --- | --- |\n| Hall | 20 *euros* |\n| Attic | |\n\nAfter\n"
    assert whole(read(content, MediaType.MARKDOWN)) == "Fees\n\nRoom | Fee\n\nRoom: Hall; Fee: 20 euros\n\nRoom: Attic\n\nAfter"


@pytest.mark.parametrize("mark", ["tblHeader", "bold", "figures"])
def test_a_row_of_a_word_table_names_its_columns(mark):
    import docx
    from docx.oxml import OxmlElement

    fee = "20" if mark == "figures" else "none"
    document = docx.Document()
    table = document.add_table(rows=0, cols=3)
    for values in (["Room", "Fee", "Key"], ["Hall", fee, "red"], ["Attic", fee, ""]):
        for cell, value in zip(table.add_row().cells, values, strict=True):
            cell.text = value
    table.cell(1, 2).merge(table.cell(2, 2)).text = "red"
    if mark == "tblHeader":
        table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    elif mark == "bold":
        for cell in table.rows[0].cells:
            cell.paragraphs[0].runs[0].bold = True
    out = io.BytesIO()
    document.save(out)
    rows = ["Room | Fee | Key", f"Room: Hall; Fee: {fee}; Key: red", f"Room: Attic; Fee: {fee}; Key: red"]
    assert whole(read(out.getvalue(), MediaType.DOCX)) == "\n\n".join(rows)


def test_a_row_on_a_slide_names_its_columns():
    from pptx import Presentation

    show = Presentation()
    table = show.slides.add_slide(show.slide_layouts[6]).shapes.add_table(2, 2, 0, 0, 100, 100).table
    for row, values in enumerate([["Room", "Fee"], ["Hall", "20 euros"]]):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    out = io.BytesIO()
    show.save(out)
    assert whole(read(out.getvalue(), MediaType.PPTX)) == "Room | Fee\n\nRoom: Hall; Fee: 20 euros"


def test_attachments_are_named_only():
    text = whole(read(samples.eml(attachment="geheimer plan.pdf"), MediaType.EML))
    assert "Attachments: geheimer plan.pdf" in text
    assert "From: The night porter <porter@house.example>" in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_its_own_encoding(encoding):
    text = "Die Fähre fährt täglich außer sonntags. Größere Gruppen müssen sich bitte vorher anmelden, schöne Grüße."
    assert whole(read(text.encode(encoding), MediaType.TEXT)) == text


def test_html_declares_its_encoding():
    content = "<html><head><meta charset='iso-8859-2'></head><body><p>Žluťoučký kůň</p></body></html>".encode("iso-8859-2")
    assert whole(read(content, MediaType.HTML)) == "Žluťoučký kůň"


def test_long_texts_are_cut_into_parts_that_a_viewer_can_show():
    paragraphs = [f"Paragraph {number} has a few words in it. " * 4 for number in range(500)]
    document = read("\n\n".join(paragraphs).encode(), MediaType.TEXT)
    assert len(document.pages) > 3
    assert all(len(page.text) < 14_000 for page in document.pages)
    assert [paragraph.strip() for paragraph in paragraphs] == whole(document).split("\n\n")


def test_word_keeps_inserted_text_and_text_boxes_and_drops_deleted_text():
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    body = (
        "<w:p><w:r><w:t>Kept </w:t></w:r><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
        "<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></mc:Choice>"
        "<mc:Fallback><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>controlled</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        '<w:p><w:r><w:br w:type="page"/><w:t>second page</w:t></w:r></w:p>'
    )
    document = read(
        samples.archive({"word/document.xml": f"<w:document {w}><w:body>{body}</w:body></w:document>"}), MediaType.DOCX
    )
    assert [page.text for page in document.pages] == ["Kept inserted\n\nbox\n\ncontrolled", "second page"]


def test_word_tables_tell_each_cell_once_with_what_is_nested_in_it():
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'

    def text(words):
        return f"<w:p><w:r><w:t>{words}</w:t></w:r></w:p>"

    box = (
        f"<w:p><w:r><mc:AlternateContent><mc:Choice>{text('boxed')}</mc:Choice><mc:Fallback>{text('boxed')}</mc:Fallback>"
        "</mc:AlternateContent></w:r></w:p>"
    )
    inner = f"<w:tbl><w:tr><w:tc>{text('a1')}</w:tc><w:tc>{text('a2')}</w:tc></w:tr></w:tbl>"
    rows = f"<w:tr><w:tc>{text('left')}{box}</w:tc><w:tc>{inner}{text('right')}</w:tc></w:tr><w:tr><w:tc>{text('last')}</w:tc></w:tr>"
    document = read(
        samples.archive({"word/document.xml": f"<w:document {w}><w:body><w:tbl>{rows}</w:tbl></w:body></w:document>"}),
        MediaType.DOCX,
    )
    assert whole(document) == "left boxed | a1 a2 right\n\nlast"


def read_odt(body: str) -> ParsedDocument:
    names = {"office": "office", "text": "text", "table": "table", "draw": "drawing"}
    spaces = " ".join(f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for prefix, name in names.items())
    content = f"<office:document-content {spaces}><office:body><office:text>{body}</office:text></office:body></office:document-content>"
    return read(samples.archive({"content.xml": content}), MediaType.ODT)


def test_opendocument_keeps_boxes_apart_and_tells_nested_tables_once():
    def table(*cells):
        return f"<table:table><table:table-row>{''.join(f'<table:table-cell>{cell}</table:table-cell>' for cell in cells)}</table:table-row></table:table>"

    box = "<text:p>before<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>after</text:p>"
    body = box + table("<text:p>left</text:p>", table("<text:p>inner</text:p>"), box)
    assert whole(read_odt(body)) == "before\nboxed\nafter\n\nleft | inner | before boxed after"


def test_a_row_of_an_opendocument_table_names_its_columns():
    def row(*cells):
        return f"<table:table-row>{''.join(f'<table:table-cell><text:p>{cell}</text:p></table:table-cell>' for cell in cells)}</table:table-row>"

    head = f"<table:table-header-rows>{row('Room', 'Fee')}</table:table-header-rows>"
    document = read_odt(f"<table:table>{head}{row('Hall', 'none')}{row('Attic', '')}</table:table>")
    assert whole(document) == "Room | Fee\n\nRoom: Hall; Fee: none\n\nRoom: Attic"


# PDF layouts ---------------------------------------------------------------------------------------------------------


def canvas_pdf(draw) -> bytes:
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=(595, 842))
    draw(page)
    page.save()
    return out.getvalue()


def test_pdf_pages_keep_their_numbers_when_some_are_blank():
    document = read(samples.pdf(pages=((KETTLE,), (), (HARBOUR,))), MediaType.PDF)
    assert [bool(page.text.strip()) for page in document.pages] == [True, False, True]
    assert HARBOUR in document.pages[2].text


def headed_pdf(pages: int, head: str, size: float = 10) -> bytes:
    def draw(page):
        for number in range(1, pages + 1):
            page.setFont("Helvetica", size)
            page.drawString(60, 800, head.format(number))
            page.setFont("Helvetica", 10)
            for row in range(4):
                page.drawString(60, 700 - 14 * row, f"Sentence {row} of the text, which is on page {number} alone.")
            page.drawString(290, 30, str(number))
            page.showPage()

    return canvas_pdf(draw)


def test_running_heads_and_page_numbers_are_no_text_and_leave_the_offsets_as_they_are():
    import pypdfium2

    content = headed_pdf(4, "Harbour rules, page {}")
    document = read(content, MediaType.PDF)
    for number, page in enumerate(document.pages[:4]):
        assert "Harbour" not in page.text and page.text.strip().startswith("Sentence 0") and page.text.strip().endswith("alone.")
        assert len(page.text) == pypdfium2.PdfDocument(content)[number].get_textpage().count_chars()


@pytest.mark.parametrize(
    ("pages", "head", "size"), [(2, "Harbour rules, page {}", 10), (5, "Step {}", 16), (5, "Harbour rules in {0} {0} {0}", 14)]
)
def test_what_stands_on_few_pages_or_is_set_as_a_heading_stays(pages, head, size):
    assert head.split()[0] in whole(read(headed_pdf(pages, head, size), MediaType.PDF))


def test_columns_are_read_one_after_the_other():
    def draw(page):
        for row in range(5):
            page.drawString(60, 700 - 14 * row, f"left {row} line")
        for row in range(5):
            page.drawString(320, 700 - 14 * row, f"right {row} line")

    text = whole(read(canvas_pdf(draw), MediaType.PDF))
    assert text.index("left 4") < text.index("right 0")


def test_words_divided_at_a_line_end_are_joined_by_a_soft_hyphen():
    document = read(samples.pdf(pages=(("The ferry leaves at the usual depar-", "ture time."),)), MediaType.PDF)
    assert "depar\u00adture" in whole(document)


def test_lines_apart_are_paragraphs_and_large_lines_headings():
    def draw(page):
        page.setFont("Helvetica-Bold", 18)
        page.drawString(60, 780, "Opening hours")
        page.setFont("Helvetica", 11)
        for row, line in enumerate(["The office opens at nine", "and closes at five.", "", "", "On Sundays it is closed."]):
            page.drawString(60, 750 - 14 * row, line)

    document = read(canvas_pdf(draw), MediaType.PDF)
    text = whole(document)
    assert [text[heading.start : heading.end] for heading in document.headings] == ["Opening hours"]
    assert "nine \nand" in text
    assert "five.\n\nOn" in text


def test_a_sentence_goes_on_over_hyphens_and_into_the_next_column():
    def draw(page):
        for row, line in enumerate(["The boat leaves at the depar-", "ture time that is printed", "on the ticket of every pas-"]):
            page.drawString(60, 700 - 14 * row, line)
        for row, line in enumerate(["senger who asks the porter", "for it. Mind the gap."]):
            page.drawString(320, 700 - 14 * row, line)

    text = whole(read(canvas_pdf(draw), MediaType.PDF)).replace("\u00ad", "")
    assert "\n\n" not in text
    assert " ".join(text.split()).startswith("The boat leaves at the departure time that is printed on the ticket of every pas")


def test_ligatures_and_right_to_left_text_are_found_again_on_the_page():
    fonts = ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",)
    if not os.path.exists(fonts[0]):
        pytest.skip("no font with Hebrew letters here")
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("DejaVu", fonts[0]))

    def draw(page):
        page.setFont("DejaVu", 12)
        page.drawString(60, 700, "The o\ufb03ce of the \ufb01rst o\ufb03cer")
        page.drawString(60, 660, "םולש")

    document = read(canvas_pdf(draw), MediaType.PDF)
    text = whole(document)
    assert "officer" in text.replace("\ufb03", "ffi")
    start = text.index("ולש" if "ולש" in text else "שלו")
    (left, top, right, bottom), *_ = locate_in_child([canvas_pdf(draw)], 1, start, start + 3, LIMITS)
    assert 0.05 < left < right < 0.4
    assert abs(top - (842 - 660) / 842) < 0.03


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_span_is_located_where_it_stands_on_the_page_as_shown(rotation):
    import pikepdf

    with pikepdf.open(io.BytesIO(samples.pdf())) as document:
        document.pages[0].Rotate = rotation
        out = io.BytesIO()
        document.save(out)
    content = out.getvalue()
    text = read(content, MediaType.PDF).pages[0].text
    start = text.index(KETTLE)
    (rectangle,) = locate_in_child([content], 1, start, start + len(KETTLE), LIMITS)
    left, top, right, bottom = rectangle
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    assert_ink_inside(render_page_in_child([content], 1, 800, LIMITS), rectangle)


def assert_ink_inside(png: bytes, rectangle: tuple[float, float, float, float]) -> None:
    """The rectangle holds dark pixels, and so does hardly anything but it and the heading."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("L")
    width, height = image.size
    left, top, right, bottom = rectangle
    box = image.crop((int(left * width), int(top * height), int(right * width) + 1, int(bottom * height) + 1))
    dark = sum(box.histogram()[:128])
    all_dark = sum(image.histogram()[:128])
    assert dark > 0.4 * all_dark
    assert box.size[0] * box.size[1] < 0.05 * width * height


def test_offsets_of_a_pdf_are_the_characters_of_pdfium():
    import pypdfium2

    content = samples.pdf()
    text_page = pypdfium2.PdfDocument(content)[0].get_textpage()
    text = read(content, MediaType.PDF).pages[0].text
    assert len(text) == text_page.count_chars()
    start = text.index("signal")
    assert text_page.get_text_range(start, 6) == "signal"

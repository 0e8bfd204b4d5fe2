"""Write the binary files of the sample handbook (PDF, DOCX, XLSX, PPTX, ODT) into appliance/administration/handbook.

What they say is in handbook_content.py; the text formats beside them are written by hand. Run after changing a fact:
`.venv/bin/python -m bench.build_handbook`. Needs the development extra (reportlab). The same input gives the same bytes, so that
a rebuilt file is recognised as a duplicate.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
from odf import style, table, text
from odf.opendocument import OpenDocumentText
from pptx.util import Pt
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from bench.handbook_content import IT_RULES, MINUTES, PRICES, SLIDES, STAFF_HANDBOOK

FOLDER = Path(__file__).parent.parent / "appliance" / "administration" / "handbook"
MOMENT = dt.datetime(2026, 9, 1, tzinfo=dt.UTC).replace(tzinfo=None)
AUTHOR = "Saltmarsh Ferries"
MODIFIED = re.compile(rb"(?<=W3CDTF\">)[^<]+(?=</dcterms:modified>)")


def staff_handbook() -> None:
    styles = getSampleStyleSheet()
    body = ParagraphStyle("Text", parent=styles["BodyText"], fontName="Helvetica", fontSize=9.5, leading=13.5, spaceAfter=6)
    title = ParagraphStyle(
        "Chapter", parent=styles["Heading1"], fontName="Helvetica-Bold", fontSize=16, leading=20, spaceAfter=12
    )
    story: list[object] = []
    for heading, blocks in STAFF_HANDBOOK:
        story.append(Paragraph(heading, title))
        for block in blocks:
            if isinstance(block, str):
                story.append(Paragraph(block, body))
                continue
            grid = Table(block, hAlign="LEFT", spaceBefore=2, spaceAfter=10)
            grid.setStyle(
                TableStyle(
                    [
                        ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9),
                        ("FONT", (0, 1), (-1, -1), "Helvetica", 9),
                        ("LINEBELOW", (0, 0), (-1, -1), 0.5, "#9aa7ad"),
                        ("RIGHTPADDING", (0, 0), (-1, -1), 12),
                    ],
                ),
            )
            story += [grid, Spacer(1, 8)]
        story.append(PageBreak())

    def footer(canvas: object, _document: object) -> None:
        canvas.setFont("Helvetica", 8)  # type: ignore[attr-defined]
        canvas.drawString(15 * mm, 8 * mm, f"Saltmarsh Ferries, staff handbook, page {canvas.getPageNumber()}")  # type: ignore[attr-defined]

    document = SimpleDocTemplate(
        str(FOLDER / "staff-handbook.pdf"), pagesize=A5, leftMargin=15 * mm, rightMargin=15 * mm, topMargin=15 * mm,
        bottomMargin=15 * mm, title="Working at Saltmarsh Ferries", author=AUTHOR, invariant=1,
    )  # fmt: skip
    document.build(story[:-1], onFirstPage=footer, onLaterPages=footer)


def it_rules() -> None:
    document = docx.Document()
    document.core_properties.title = "IT rules"
    document.core_properties.author = AUTHOR
    document.core_properties.created = document.core_properties.modified = MOMENT
    document.add_heading("IT rules", level=0)
    document.add_paragraph("Saltmarsh Ferries, IT desk (extension 250). Edition of March 2026. The rules apply to everyone.")
    for heading, rules in IT_RULES:
        document.add_heading(heading, level=1)
        for rule in rules:
            document.add_paragraph(rule, style="List Bullet")
    buffer = io.BytesIO()
    document.save(buffer)
    store("it-rules.docx", buffer)


def price_list() -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in PRICES.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for letter, width in zip("ABCD", (36, 14, 14, 40), strict=True):
            sheet.column_dimensions[letter].width = width
        for cell in sheet[1]:
            cell.font = openpyxl.styles.Font(bold=True)
        for row_cells in sheet.iter_rows(min_row=2, min_col=2, max_col=3):
            for cell in row_cells:
                cell.number_format = "0.00"
    book.properties.creator, book.properties.title = AUTHOR, "Price list 2026"
    book.properties.created = book.properties.modified = MOMENT
    buffer = io.BytesIO()
    book.save(buffer)
    store("price-list-2026.xlsx", buffer)


def first_week() -> None:
    deck = pptx.Presentation()
    for ordinal, (heading, lines) in enumerate(SLIDES):
        slide = deck.slides.add_slide(deck.slide_layouts[0 if ordinal == 0 else 1])
        slide.shapes.title.text = heading
        frame = slide.placeholders[1].text_frame
        frame.text = lines[0]
        for line in lines[1:]:
            frame.add_paragraph().text = line
        for paragraph in frame.paragraphs:
            paragraph.font.size = Pt(24)
    deck.core_properties.title, deck.core_properties.author = SLIDES[0][0], AUTHOR
    deck.core_properties.created = deck.core_properties.modified = MOMENT
    buffer = io.BytesIO()
    deck.save(buffer)
    store("first-week.pptx", buffer)


def minutes() -> None:
    document = OpenDocumentText()
    heading_style = style.Style(name="Heading 1", family="paragraph")
    heading_style.addElement(style.TextProperties(fontsize="16pt", fontweight="bold"))
    document.styles.addElement(heading_style)
    document.text.addElement(text.H(outlinelevel=1, stylename=heading_style, text="Staff council: minutes of 14 October 2026"))
    document.text.addElement(text.P(text="Saltmarsh Ferries, meeting room 2, Ferry House, 14:00 to 16:10."))
    for heading, paragraphs in MINUTES:
        document.text.addElement(text.H(outlinelevel=2, text=heading))
        for paragraph in paragraphs:
            document.text.addElement(text.P(text=paragraph))
    document.text.addElement(text.H(outlinelevel=2, text="Tasks"))
    tasks = table.Table(name="Tasks")
    for _ in range(3):
        tasks.addElement(table.TableColumn())
    for row in (
        ("Task", "Who", "By"),
        ("Second offer for the bicycle shed", "Managing director", "9 December 2026"),
        ("Reflecting stripes on the jackets", "Head of personnel", "20 November 2026"),
        ("Choice for the crew of Avocet", "Shift planner", "27 November 2026"),
        ("Notice about the canteen price", "Head of personnel", "15 November 2026"),
    ):
        line = table.TableRow()
        for value in row:
            cell = table.TableCell()
            cell.addElement(text.P(text=value))
            line.addElement(cell)
        tasks.addElement(line)
    document.text.addElement(tasks)
    buffer = io.BytesIO()
    document.write(buffer)
    store("staff-council-minutes-2026-10.odt", buffer)


def store(name: str, buffer: io.BytesIO) -> None:
    """Rewrite the archive with one fixed date, in the order given: the libraries stamp the present into it."""
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(FOLDER / name, "w") as target:
        for item in source.infolist():
            fixed = zipfile.ZipInfo(item.filename, MOMENT.timetuple()[:6])
            fixed.compress_type = item.compress_type
            target.writestr(fixed, MODIFIED.sub(MOMENT.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), source.read(item)))


if __name__ == "__main__":
    for build in (staff_handbook, it_rules, price_list, first_week, minutes):
        build()
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.stat().st_size:8,d} {file.name}")

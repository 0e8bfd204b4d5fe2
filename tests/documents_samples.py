"""Real files of every format, made on the spot. `from tests.documents_samples import SAMPLES, pdf, docx, ...`.

Each of `SAMPLES` says `KETTLE` and `HARBOUR` somewhere and stands under the heading `HEADING` where its format has headings.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence

KETTLE = "The kettle in the signal room is descaled every Tuesday."
HARBOUR = "The harbour gate closes at half past nine in winter."
HEADING = "House rules"
TITLE = "Rules of the house"


def text() -> bytes:
    return f"{HEADING.upper()}\n\n{KETTLE}\n\n{HARBOUR}\n".encode()


def markdown() -> bytes:
    return f"# {HEADING}\n\n{KETTLE}\n\n## Gates\n\n- {HARBOUR}\n".encode()


def html() -> bytes:
    return (
        f"<!doctype html><html><head><title>{TITLE}</title><script>var hidden = 1;</script></head>"
        f"<body><nav>menu entry</nav><h1>{HEADING}</h1><p>{KETTLE}</p><ul><li>{HARBOUR}</li></ul></body></html>"
    ).encode()


def csv() -> bytes:
    return f'Room,Rule\nSignal room,"{KETTLE}"\nHarbour,"{HARBOUR}"\n'.encode()


def eml(*, attachment: str = "plan.pdf") -> bytes:
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"] = "The night porter <porter@house.example>"
    message["To"] = "everybody@house.example"
    message["Subject"] = TITLE
    message["Date"] = "Mon, 26 Oct 2026 09:15:00 +0000"
    message.set_content(f"{KETTLE}\n\n{HARBOUR}\n")
    message.add_alternative(f"<p>{KETTLE}</p>", subtype="html")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename=attachment)
    return message.as_bytes()


def pdf(
    pages: Sequence[Sequence[str]] = ((KETTLE,), (HARBOUR,)), *, heading: str = HEADING, title: str = TITLE, password: str = ""
) -> bytes:
    """One page for each sequence of lines; the heading stands on the first."""
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=(595, 842), encrypt=password or None)
    page.setTitle(title)
    for number, lines in enumerate(pages):
        if number == 0 and heading:
            page.setFont("Helvetica-Bold", 20)
            page.drawString(72, 770, heading)
        page.setFont("Helvetica", 11)
        for row, line in enumerate(lines):
            page.drawString(72, 720 - 14 * row, line)
        page.showPage()
    page.save()
    return out.getvalue()


Placed = tuple[float, float, str]
"""Text and where it begins, in points from the lower left corner; one that starts with "right:" ends there."""


def placed_pdf(placed: Sequence[Placed]) -> bytes:
    """One page with each text where it is wanted, in Helvetica of 11 points."""
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=(595, 842))
    page.setFont("Helvetica", 11)
    for x, y, said in placed:
        if said.startswith("right:"):
            page.drawRightString(x, y, said.removeprefix("right:"))
        else:
            page.drawString(x, y, said)
    page.showPage()
    page.save()
    return out.getvalue()


def right(said: str) -> str:
    """A cell that is set to the right."""
    return f"right:{said}"


def table(rows: Sequence[Sequence[str]], columns: Sequence[float], top: float = 700) -> list[Placed]:
    """Cells row by row, each on a line of its own; nothing where a cell is blank."""
    return [(x, top - 14 * number, cell) for number, row in enumerate(rows) for x, cell in zip(columns, row, strict=True) if cell]


def docx() -> bytes:
    import docx as word

    document = word.Document()
    document.core_properties.title = TITLE
    document.add_heading(HEADING, 1)
    document.add_paragraph(KETTLE)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text = "Gate"
    table.rows[0].cells[1].text = HARBOUR
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pptx() -> bytes:
    from pptx import Presentation

    show = Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = HEADING
    first.placeholders[1].text = KETTLE
    show.slides.add_slide(show.slide_layouts[6])
    third = show.slides.add_slide(show.slide_layouts[5])
    third.shapes.title.text = "Gates"
    third.notes_slide.notes_text_frame.text = HARBOUR
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


def xlsx() -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "Rooms"
    sheet.append(["Room", "Rule", "Fee"])
    sheet.append(["Signal room", KETTLE, 12.5])
    gates = book.create_sheet("Gates")
    gates.append(["Gate", "Rule"])
    gates.append(["Harbour", HARBOUR])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def odt() -> bytes:
    from odf.opendocument import OpenDocumentText
    from odf.text import H, P

    document = OpenDocumentText()
    document.text.addElement(H(outlinelevel=1, text=HEADING))
    document.text.addElement(P(text=KETTLE))
    document.text.addElement(P(text=HARBOUR))
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def epub(*, protected: bool = False) -> bytes:
    chapter = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
    members = {
        "META-INF/container.xml": (
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
        ),
        "OEBPS/book.opf": (
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
            f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{TITLE}</dc:title></metadata><manifest>'
            '<item id="b" href="b.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
        ),
        "OEBPS/b.xhtml": chapter.format(f"<p>{HARBOUR}&nbsp;</p>"),
        "OEBPS/a.xhtml": chapter.format(f"<h1>{HEADING}</h1><p>{KETTLE}</p>"),
    }
    if protected:
        members["META-INF/encryption.xml"] = (
            '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:enc="http://www.w3.org/2001/04/xmlenc#">'
            '<enc:EncryptedData><enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>'
            "</enc:EncryptedData></encryption>"
        )
    return archive({"mimetype": "application/epub+zip", **members})


def archive(members: dict[str, str | bytes]) -> bytes:
    """A ZIP file of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


SAMPLES: dict[str, Callable[[], bytes]] = {
    "rules.pdf": pdf,
    "rules.docx": docx,
    "rules.pptx": pptx,
    "rules.xlsx": xlsx,
    "rules.odt": odt,
    "rules.html": html,
    "rules.md": markdown,
    "rules.txt": text,
    "rules.csv": csv,
    "rules.eml": eml,
    "rules.epub": epub,
}

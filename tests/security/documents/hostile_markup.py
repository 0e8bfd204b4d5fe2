"""XML, and the office formats made of it, with what reaches out, swells, nests or lies."""

from __future__ import annotations

from tests import documents_samples as samples
from tests.documents_samples import archive
from tests.security.documents.hostile_archives import SAFE, paragraph, with_members, word, word_xml

RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LAUGHS = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LAUGHS += "]>"
QUADRATIC = f"<!DOCTYPE x [<!ENTITY a '{'a' * 60_000}'>]>"
OUTSIDE = "<!DOCTYPE x [<!ENTITY s SYSTEM 'file:///etc/passwd'>]>"
FAR = "<!DOCTYPE x [<!ENTITY s SYSTEM 'http://192.0.2.1/s.txt'>]>"
PARAMETER = "<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://192.0.2.1/p.dtd'> %p;]>"
FAR_TYPE = "<!DOCTYPE x SYSTEM 'http://192.0.2.1/x.dtd'>"


def declared(prologue: str, text: str = "&i;") -> bytes:
    return word(word_xml(paragraph(text), prologue))


def encoded(prologue: str, encoding: str, text: str = "&i;") -> bytes:
    written = f"<?xml version='1.0' encoding='{encoding}'?>{word_xml(paragraph(text), prologue)}"
    return word(written.encode(encoding))


def late(prologue: str, text: str) -> bytes:
    """The declaration stands behind a comment longer than any prologue is."""
    return replaced(
        samples.xlsx(), "xl/workbook.xml", lambda old: f"<!--{'x' * 70_000}-->{prologue}{after_declaration(old)}{text}"
    )


def after_declaration(xml: str) -> str:
    return xml.split("?>", 1)[1] if xml.startswith("<?xml") else xml


def replaced(content: bytes, name: str, change, **more: str | bytes) -> bytes:
    """The package with one member changed: `change` takes its text, or is what stands there instead."""
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members: dict[str, str | bytes] = {one: file.read(one) for one in file.namelist()}
    old = members.get(name, b"")
    members[name] = change(old.decode() if isinstance(old, bytes) else old) if callable(change) else change
    return archive({**members, **more})


def within(sample, name: str, prologue: str) -> bytes:
    """The sample with this prologue before one of its members."""
    return replaced(sample(), name, lambda old: prologue + after_declaration(old))


def included() -> bytes:
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    return word(word_xml(paragraph(SAFE) + include))


def instructed() -> bytes:
    return word(word_xml(paragraph(SAFE), "<?xml-stylesheet type='text/xsl' href='http://192.0.2.1/x.xsl'?>"))


def nested_tags(depth: int) -> bytes:
    return word(word_xml("<w:sdt><w:sdtContent>" * depth + paragraph(SAFE) + "</w:sdtContent></w:sdt>" * depth))


def nested_tables(depth: int) -> bytes:
    return word(word_xml("<w:tbl><w:tr><w:tc>" * depth + paragraph(SAFE) + "</w:tc></w:tr></w:tbl>" * depth))


def long_attribute() -> bytes:
    return word(word_xml(f"<w:p w:rsid='{'a' * 11_000_000}'/>{paragraph(SAFE)}"))


def long_text() -> bytes:
    return word(word_xml(paragraph("ab " * 4_000_000)))


def attributes(count: int) -> bytes:
    written = " ".join(f"a{number}=''" for number in range(count))
    return word(word_xml(f"<w:p {written}/>{paragraph(SAFE)}"))


def cell(properties: str, text: str = SAFE) -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def table_of(*rows: str) -> bytes:
    return word(word_xml("<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>"))


def wide_cell(written: str) -> bytes:
    return table_of(cell(f"<w:gridSpan w:val='{written}'/>") + cell(""), cell("") + cell(""))


def merged_downwards(rows: int) -> bytes:
    row = f"<w:tr>{cell('<w:vMerge/>', '')}{cell('', 'x')}</w:tr>" * rows
    return word(word_xml(f"<w:tbl>{row}</w:tbl>{paragraph(SAFE)}"))


def related(*relations: tuple[str, str, str], **members: str | bytes) -> bytes:
    """A Word document whose main part is related to (kind, target, mode)."""
    listed = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{kind}" Target="{target}" TargetMode="{mode}"/>'
        for number, (kind, target, mode) in enumerate(relations)
    )
    return with_members(
        {"word/_rels/document.xml.rels": f'<Relationships xmlns="{RELATIONS}">{listed}</Relationships>', **members}
    )


def field(instruction: str) -> bytes:
    return word(word_xml(f"<w:p><w:r><w:instrText>{instruction}</w:instrText></w:r><w:r><w:t>{SAFE}</w:t></w:r></w:p>"))


def typed(kind: str) -> bytes:
    types = f'<Types><Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.{kind}.main+xml"/></Types>'
    return with_members({"[Content_Types].xml": types})


def slide_again_and_again(count: int, text: str = "x") -> bytes:
    """One slide, shown so many times."""
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/main"
    listed = '<p:sldId id="256" r:id="r1"/>' * count
    slide = f'<p:sld xmlns:p="{main}" xmlns:a="{drawing}"><p:sp><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:sld>'
    return archive(
        {
            "ppt/presentation.xml": f'<p:presentation xmlns:p="{main}" xmlns:r="{OFFICE}"><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" Type="{OFFICE}/slide" Target="slides/slide1.xml"/></Relationships>',
            "ppt/slides/slide1.xml": slide,
        }
    )


def chapter_again_and_again(count: int) -> bytes:
    return replaced(
        samples.epub(), "OEBPS/book.opf", lambda old: old.replace('<itemref idref="a"/>', '<itemref idref="a"/>' * count)
    )


def chapter_at(href: str) -> bytes:
    return replaced(samples.epub(), "OEBPS/book.opf", lambda old: old.replace("a.xhtml", href).replace("b.xhtml", href))


def book(prologue: str, member: str = "OEBPS/book.opf") -> bytes:
    return within(samples.epub, member, prologue)


def odt_body(inner: str, **members: str | bytes) -> bytes:
    spaces = {"office": "office", "text": "text", "table": "table"}
    names = " ".join(f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for short, name in spaces.items())
    body = f"<office:document-content {names}><office:body><office:text>{inner}</office:text></office:body></office:document-content>"
    return archive({"content.xml": body, **members})


def odt_cells(times: str) -> bytes:
    one = f'<table:table-cell table:number-columns-repeated="{times}"><text:p>{SAFE}</text:p></table:table-cell>'
    return odt_body(f"<table:table><table:table-row>{one}</table:table-row></table:table>")


def odt_nested(depth: int, tag: str = "text:list") -> bytes:
    return odt_body(f"<{tag}>" * depth + f"<text:p>{SAFE}</text:p>" + f"</{tag}>" * depth)


def odt_encrypted() -> bytes:
    name = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    manifest = f'<m:manifest xmlns:m="{name}"><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>'
    return odt_body(f"<text:p>{SAFE}</text:p>", **{"META-INF/manifest.xml": manifest})


def odt_with(name: str) -> bytes:
    return odt_body(f"<text:p>{SAFE}</text:p>", **{name: "<script/>"})


SHEET_NAME = "xl/worksheets/sheet1.xml"


def sheet(rows: str, dimension: str = "A1:C9") -> bytes:
    """A workbook whose first sheet holds these rows."""
    data = f'<worksheet {SHEET}><dimension ref="{dimension}"/><sheetData>{rows}</sheetData></worksheet>'
    return replaced(samples.xlsx(), SHEET_NAME, data)


def cell_at(where: str, value: str, kind: str = "inlineStr") -> str:
    inner = f"<is><t>{value}</t></is>" if kind == "inlineStr" else f"<v>{value}</v>"
    return f'<c r="{where}" t="{kind}">{inner}</c>'


def one_row(cells: str) -> str:
    return f'<row r="1">{cells}</row>'


def far_cells(rows: int) -> bytes:
    """In each row nothing but its last cell, sixteen thousand columns away."""
    return sheet("".join(f'<row r="{number}">{cell_at(f"XFD{number}", SAFE)}</row>' for number in range(1, rows + 1)))


def with_strings(content: str | bytes, workbook: bytes) -> bytes:
    """The workbook with a part that its cells take their texts from."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    entry = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
    typed = replaced(workbook, "[Content_Types].xml", lambda old: old.replace("</Types>", entry))
    return replaced(typed, "xl/sharedStrings.xml", content)


def one_string_many_times(cells: int, length: int) -> bytes:
    rows = "".join(f'<row r="{number}">{cell_at(f"A{number}", "0", "s")}</row>' for number in range(1, cells + 1))
    strings = f"<sst {SHEET}><si><t>{'word ' * (length // 5)}</t></si></sst>"
    return with_strings(strings, sheet(rows))


def sheet_again_and_again(count: int) -> bytes:
    """One sheet under so many names."""
    listed = "".join(f'<sheet name="s{number}" sheetId="{number}" r:id="rId1"/>' for number in range(1, count + 1))

    def change(old: str) -> str:
        before, rest = old.split("<sheets>")
        return (
            before.replace("<workbook ", f'<workbook xmlns:r="{OFFICE}" ', 1)
            + f"<sheets>{listed}</sheets>"
            + rest.split("</sheets>")[1]
        )

    return replaced(samples.xlsx(), "xl/workbook.xml", change)


def strings(prologue: str, encoding: str = "utf-8") -> bytes:
    written = f"<?xml version='1.0' encoding='{encoding}'?>{prologue}<sst {SHEET}><si><t>&i;</t></si></sst>"
    return with_strings(written.encode(encoding), sheet(one_row(cell_at("A1", "0", "s"))))

"""Every hostile file: the name it is uploaded under, how it is made, and what has to become of it.

`READ` means that it becomes a document, and that whatever it reaches for stays where it is. All else is the code of the reason
that people are given. Two answers are expected only where the library decides between two refusals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zipfile import ZIP_BZIP2, ZIP_LZMA

from appliance.documents.sandbox import ParseLimits
from tests import documents_samples as samples
from tests.security.documents import hostile_archives as zips
from tests.security.documents import hostile_markup as xml
from tests.security.documents import hostile_pdfs as pdfs
from tests.security.documents import hostile_texts as texts
from tests.security.documents.hostile_archives import SAFE

READ = "read"
LIMITS = ParseLimits(memory_mb=1_024, timeout_s=30, output_mb=4)
SHORT = ParseLimits(memory_mb=1_024, timeout_s=2, output_mb=4)


@dataclass(frozen=True)
class Hostile:
    title: str
    name: str
    make: Callable[[], bytes]
    expected: str
    """One code, or several with bars between them."""
    shows: str = ""
    """What the document has to say where it is read."""
    limits: ParseLimits = LIMITS


def row(
    title: str, name: str, make: Callable[[], bytes], expected: str, shows: str = "", limits: ParseLimits = LIMITS
) -> Hostile:
    codes = (READ if code == READ else f"document.{code}" for code in expected.split("|"))
    return Hostile(title, name, make, "|".join(codes), shows, limits)


def cut(sample: Callable[[], bytes], share: float) -> bytes:
    content = sample()
    return content[: int(len(content) * share)]


EARLY = [
    row("nothing", "a.pdf", lambda: b"", "empty"),
    row("nothing but space", "a.txt", lambda: b" \n\t\r\n" * 999, "empty"),
    row("nothing but NUL", "a.csv", lambda: bytes(9_999), "empty"),
    row("a program", "a.pdf", lambda: b"MZ\x90\0" + bytes(500), "mislabelled"),
    row("a program called text", "a.txt", lambda: b"\x7fELF" + bytes(500), "mislabelled"),
    row("a picture called a page", "a.html", lambda: b"GIF89a/*<html>*/=1;//" + b"x" * 99, "mislabelled"),
    row("a page called a PDF", "a.pdf", lambda: texts.web(""), "mislabelled"),
    row("an archive", "a.zip", lambda: zips.zeros(1), "unsupported"),
    row("an image that runs", "a.svg", lambda: b"<svg onload='x()'/>", "unsupported"),
    row("a script", "a.js", lambda: b"alert(1)", "unsupported"),
    row("a shortcut", "a.url", lambda: b"[InternetShortcut]\nURL=file:///etc/passwd", "unsupported"),
    row("two endings", "a.pdf.exe", samples.pdf, "unsupported"),
    row("an ending turned around", "a\u202efdp.exe", samples.pdf, "unsupported"),
    row("an old office file", "a.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999), "encrypted"),
    row("Word with macros", "a.docm", samples.docx, "macros"),
    row("a Word template with macros", "a.dotm", samples.docx, "macros"),
    row("Excel with macros", "a.XLSM", samples.xlsx, "macros"),
    row("binary Excel", "a.xlsb", samples.xlsx, "macros"),
    row("PowerPoint with macros", "a.pptm", samples.pptx, "macros"),
    row("a show with macros", "a.ppsm", samples.pptx, "macros"),
    row("a program that unpacks itself", "a.docx", lambda: zips.after(b"MZ\x90\0"), "mislabelled"),
    row("a PDF that is an archive too", "a.docx", lambda: zips.after(b"%PDF-1.7\n"), "mislabelled"),
]

ARCHIVES = [
    row("a main part that swells", "a.docx", zips.main_part_bomb, "unsafe"),
    row("a part that swells", "a.docx", lambda: zips.bomb("media.bin", 40), "unsafe"),
    row("a part that swells, bzip2", "a.xlsx", lambda: zips.bomb("media.bin", 20, ZIP_BZIP2), "unsafe"),
    row("a part that swells, lzma", "a.pptx", lambda: zips.bomb("media.bin", 20, ZIP_LZMA), "unsafe"),
    row("too many parts", "a.docx", zips.many_members, "unsafe"),
    row("parts that share their bytes", "a.docx", zips.overlapping_members, "unsafe"),
    row("a part larger than it says", "a.docx", zips.declared_smaller, "corrupt"),
    row("a part that says it is huge", "a.docx", zips.declared_huge, "unsafe"),
    row("an unknown method", "a.docx", zips.unknown_method, "corrupt"),
    row("a password", "a.docx", zips.encrypted_flag, "encrypted"),
    row("a wrong checksum", "a.docx", zips.wrong_checksum, "corrupt"),
    row("a directory elsewhere", "a.docx", zips.directory_elsewhere, "corrupt"),
    row("entries that are not there", "a.docx", zips.more_entries_than_there_are, "corrupt"),
    row("an empty archive", "a.docx", lambda: b"PK\x05\x06" + bytes(18), "corrupt"),
    row("half an archive", "a.xlsx", lambda: cut(samples.xlsx, 0.5), "corrupt"),
    row("a name that leads up", "a.docx", lambda: zips.with_members({"../../etc/cron.d/job": "x"}), "unsafe"),
    row("a name that leads up within", "a.epub", lambda: zips.with_members({"word/../../../job": "x"}), "unsafe"),
    row("a name from the root", "a.docx", lambda: zips.with_members({"/etc/passwd": "x"}), "unsafe"),
    row("a name with a drive", "a.xlsx", lambda: zips.with_members({"C:\\Windows\\job": "x"}), "unsafe"),
    row("a name with back slashes", "a.pptx", lambda: zips.with_members({"..\\..\\job": "x"}), "unsafe"),
    row("a link", "a.docx", zips.linked_member, "unsafe"),
    row("a main part twice", "a.docx", zips.doubled_main_part, "unsafe"),
    row("a NUL in a name", "a.docx", zips.nul_in_a_name, "mislabelled"),
    row("an endless name", "a.docx", lambda: zips.with_members({"x" * 60_000: "x"}), READ, SAFE),
    row("a document in a document, twenty deep", "a.docx", lambda: zips.nested(20), READ, SAFE),
    row("bombs in bombs", "a.docx", zips.bombs_in_bombs, READ, SAFE),
    row("an archive of archives", "a.docx", zips.only_an_archive, "mislabelled"),
    row("two ends", "a.docx", zips.misleading_end, "corrupt"),
]

MARKUP = [
    row("a billion laughs", "a.docx", lambda: xml.declared(xml.LAUGHS), "unsafe"),
    row("a billion laughs, OpenDocument", "a.odt", lambda: xml.within(samples.odt, "content.xml", xml.LAUGHS), "unsafe"),
    row("a billion laughs, slides", "a.pptx", lambda: xml.within(samples.pptx, "ppt/presentation.xml", xml.LAUGHS), "unsafe"),
    row("a billion laughs, sheets", "a.xlsx", lambda: xml.strings(xml.LAUGHS), "unsafe"),
    row("a billion laughs, sheets in UTF-16", "a.xlsx", lambda: xml.strings(xml.LAUGHS, "utf-16"), "unsafe"),
    row("a billion laughs, book", "a.epub", lambda: xml.book(xml.LAUGHS), "unsafe"),
    row("a billion laughs, container of a book", "a.epub", lambda: xml.book(xml.LAUGHS, "META-INF/container.xml"), "unsafe"),
    row("a billion laughs in UTF-16", "a.docx", lambda: xml.encoded(xml.LAUGHS, "utf-16"), "unsafe"),
    row("a billion laughs in EBCDIC", "a.docx", lambda: xml.encoded(xml.LAUGHS, "cp037"), "unsafe|corrupt"),
    row("a billion laughs, late", "a.xlsx", lambda: xml.late(xml.LAUGHS, ""), "unsafe"),
    row("a quadratic swelling", "a.docx", lambda: xml.declared(xml.QUADRATIC, "&a;" * 60_000), "unsafe"),
    row("an entity from the disk", "a.docx", lambda: xml.declared(xml.OUTSIDE, "&s;"), "unsafe"),
    row("an entity from the disk, UTF-16", "a.docx", lambda: xml.encoded(xml.OUTSIDE, "utf-16", "&s;"), "unsafe"),
    row("an entity from afar", "a.odt", lambda: xml.within(samples.odt, "meta.xml", xml.FAR), "unsafe"),
    row("an entity from afar, relations", "a.docx", lambda: xml.within(samples.docx, "word/styles.xml", xml.FAR), "unsafe"),
    row("a parameter entity", "a.docx", lambda: xml.declared(xml.PARAMETER, SAFE), "unsafe"),
    row("a document type from afar", "a.docx", lambda: xml.declared(xml.FAR_TYPE, SAFE), READ, SAFE),
    row("an inclusion", "a.docx", xml.included, READ, SAFE),
    row("a style sheet from afar", "a.docx", xml.instructed, READ, SAFE),
    row("tags in tags", "a.docx", lambda: xml.nested_tags(50_000), "unsafe"),
    row("tables in tables", "a.docx", lambda: xml.nested_tables(70), READ, SAFE),
    row("an endless attribute", "a.docx", xml.long_attribute, "unsafe"),
    row("an endless text", "a.docx", xml.long_text, "unsafe"),
    row("attributes without end", "a.docx", lambda: xml.attributes(50_000), READ, SAFE),
    row("markup cut short", "a.docx", lambda: zips.word(zips.MAIN[:-20]), "corrupt"),
    row("markup that is none", "a.docx", lambda: zips.word(b"\0\1\2" * 99), "corrupt"),
    row("a cell of endless width", "a.docx", lambda: xml.wide_cell("9" * 5_000), READ, SAFE),
    row("a cell as wide as a power", "a.docx", lambda: xml.wide_cell("\u00b2"), READ, SAFE),
    row("cells merged downwards", "a.docx", lambda: xml.merged_downwards(5_000), READ, SAFE),
    row(
        "a template from afar",
        "a.docx",
        lambda: xml.related(("attachedTemplate", "http://192.0.2.1/t.dotm", "External")),
        READ,
        SAFE,
    ),
    row("a picture from afar", "a.docx", lambda: xml.related(("image", "http://192.0.2.1/i.png", "External")), READ, SAFE),
    row("notes from the disk", "a.docx", lambda: xml.related(("footnotes", "../../../../etc/passwd", "Internal")), READ, SAFE),
    row("notes that are the document", "a.docx", lambda: xml.related(("footnotes", "document.xml", "Internal")), READ, SAFE),
    row("a field that starts a program", "a.docx", lambda: xml.field('DDEAUTO c:\\\\cmd.exe "/k calc"'), READ, SAFE),
    row("a field that includes", "a.docx", lambda: xml.field("INCLUDETEXT file:///etc/passwd"), READ, SAFE),
    row("hidden macros", "a.docx", lambda: zips.with_members({"word/vbaProject.bin": "x"}), "macros"),
    row("macros by type", "a.docx", lambda: xml.typed("document.macroEnabled"), "macros"),
    row("macros in a workbook", "a.xlsx", lambda: xml.replaced(samples.xlsx(), "xl/vbaProject.bin", "x"), "macros"),
    row(
        "macros of old in a workbook",
        "a.xlsx",
        lambda: xml.replaced(samples.xlsx(), "xl/macrosheets/sheet1.xml", "<a/>"),
        "macros",
    ),
    row("macros in slides", "a.pptx", lambda: xml.replaced(samples.pptx(), "ppt/vbaProject.bin", "x"), "macros"),
    row("macros in OpenDocument", "a.odt", lambda: xml.odt_with("Basic/Standard/script-lb.xml"), "macros"),
    row("scripts in OpenDocument", "a.odt", lambda: xml.odt_with("Scripts/python/job.py"), "macros"),
]

OFFICE = [
    row("one slide, 7,000 times", "a.pptx", lambda: xml.slide_again_and_again(7_000), "too_many_pages"),
    row("one large slide, many times", "a.pptx", lambda: xml.slide_again_and_again(500, "word " * 10_000), "too_large"),
    row(
        "slides that are not there",
        "a.pptx",
        lambda: xml.replaced(samples.pptx(), "ppt/_rels/presentation.xml.rels", f'<Relationships xmlns="{xml.RELATIONS}"/>'),
        "empty",
    ),
    row("one chapter, 7,000 times", "a.epub", lambda: xml.chapter_again_and_again(7_000), "too_many_pages"),
    row("a chapter from the disk", "a.epub", lambda: xml.chapter_at("../../../../etc/passwd"), "corrupt"),
    row("a chapter from the disk, disguised", "a.epub", lambda: xml.chapter_at("%2e%2e/%2e%2e/%2e%2e/etc/passwd"), "corrupt"),
    row(
        "a book without a book",
        "a.epub",
        lambda: xml.replaced(samples.epub(), "META-INF/container.xml", "<container/>"),
        "corrupt",
    ),
    row("a book with a lock", "a.epub", lambda: samples.epub(protected=True), "encrypted"),
    row("a book called a text", "a.odt", samples.epub, "mislabelled"),
    row("a cell repeated without end", "a.odt", lambda: xml.odt_cells("99999999999"), READ, SAFE),
    row("a cell repeated a power", "a.odt", lambda: xml.odt_cells("\u00b3"), READ, SAFE),
    row("lists in lists", "a.odt", lambda: xml.odt_nested(240), READ, SAFE),
    row("lists in lists, deeper", "a.odt", lambda: xml.odt_nested(5_000), "unsafe"),
    row(
        "spans in spans",
        "a.odt",
        lambda: xml.odt_body("<text:p>" + "<text:span>" * 240 + SAFE + "</text:span>" * 240 + "</text:p>"),
        READ,
        SAFE,
    ),
    row("an encrypted text", "a.odt", xml.odt_encrypted, "encrypted"),
    row(
        "a sheet that says it is huge",
        "a.xlsx",
        lambda: xml.sheet(xml.one_row(xml.cell_at("A1", SAFE)), "A1:XFD1048576"),
        READ,
        SAFE,
    ),
    row(
        "a row at the end of the world",
        "a.xlsx",
        lambda: xml.sheet(f'<row r="1048576">{xml.cell_at("A1048576", SAFE)}</row>' + '<row r="2"/>'),
        READ + "|empty",
    ),
    row("cells at the end of the world", "a.xlsx", lambda: xml.far_cells(100), READ, SAFE),
    row("a cell at no place", "a.xlsx", lambda: xml.sheet(xml.one_row(xml.cell_at("ZZZZ99999999", SAFE))), "corrupt|read"),
    row("one long text in many cells", "a.xlsx", lambda: xml.one_string_many_times(500, 20_000), "too_large"),
    row("one sheet, 7,000 times", "a.xlsx", lambda: xml.sheet_again_and_again(7_000), "too_many_pages"),
    row("a text that is not there", "a.xlsx", lambda: xml.sheet(xml.one_row(xml.cell_at("A1", "99", "s"))), "corrupt"),
    row(
        "a number without end",
        "a.xlsx",
        lambda: xml.sheet(xml.one_row(xml.cell_at("A1", "9" * 5_000, "n") + xml.cell_at("B1", SAFE))),
        "read|corrupt",
    ),
    row(
        "a date beyond time",
        "a.xlsx",
        lambda: xml.sheet(xml.one_row(xml.cell_at("A1", "1e300", "d") + xml.cell_at("B1", SAFE))),
        "read|corrupt",
    ),
    row(
        "a formula that calls",
        "a.xlsx",
        lambda: xml.sheet('<row r="1"><c r="A1" t="str"><f>WEBSERVICE("http://192.0.2.1")</f><v>' + SAFE + "</v></c></row>"),
        READ,
        SAFE,
    ),
    row(
        "a workbook without sheets",
        "a.xlsx",
        lambda: xml.replaced(samples.xlsx(), "xl/workbook.xml", f"<workbook {xml.SHEET}><sheets/></workbook>"),
        "empty|corrupt",
    ),
]

PDFS = [
    row("ten thousand pages", "a.pdf", lambda: pdfs.pages(10_000), "too_many_pages"),
    row("one page ten thousand times", "a.pdf", lambda: pdfs.one_page_many_times(10_000), "too_many_pages"),
    row("pages that are only counted", "a.pdf", lambda: pdfs.pages(2, said=2_000_000_000), "too_many_pages|corrupt|read"),
    row("a tree of pages in a circle", "a.pdf", pdfs.tree_in_a_circle, "corrupt|no_text"),
    row("a tree of pages without end", "a.pdf", pdfs.tree_without_end, "corrupt|no_text"),
    row("a table in a circle", "a.pdf", pdfs.table_in_a_circle, READ + "|corrupt"),
    row("only a beginning", "a.pdf", lambda: b"%PDF-1.7\n" + b"\0" * 3_000, "corrupt"),
    row("half of it", "a.pdf", lambda: cut(samples.pdf, 0.4), "corrupt"),
    row("a password", "a.pdf", lambda: samples.pdf(password="secret"), "encrypted"),
    row(
        "an unknown lock",
        "a.pdf",
        lambda: pdfs.page(trailer=b"/Encrypt<</Filter/Unknown/V 9/R 9>>/ID[(a)(b)]"),
        "encrypted|corrupt",
    ),
    row("a page that swells", "a.pdf", lambda: pdfs.swelling_page(100), "no_text|parser_memory|parser_crashed"),
    row("a page that swells thrice", "a.pdf", lambda: pdfs.swelling_page(100, 3), "no_text|parser_memory|parser_crashed"),
    row("filters upon filters", "a.pdf", lambda: pdfs.filters_upon_filters(5_000), "no_text|read|unsafe"),
    row("runs without end", "a.pdf", lambda: pdfs.runs(2_000_000), "no_text|parser_crashed|parser_memory"),
    row("a flood of pixels", "a.pdf", lambda: pdfs.flood(60_000, 60_000), READ, samples.KETTLE),
    row("a flood of bits", "a.pdf", lambda: pdfs.flood(2_000_000_000, 4, bits=1), READ, samples.KETTLE),
    row("a picture that breaks its decoder", "a.pdf", lambda: pdfs.bad_image(b"JPXDecode"), READ, samples.KETTLE),
    row("another one", "a.pdf", lambda: pdfs.bad_image(b"JBIG2Decode"), READ, samples.KETTLE),
    row("a page as large as a country", "a.pdf", lambda: pdfs.page(box=b"[0 0 1e30 1e30]"), READ, samples.KETTLE),
    row("a page of no size", "a.pdf", lambda: pdfs.page(box=b"[9 9 9 9]"), READ, samples.KETTLE),
    row("a form in itself", "a.pdf", lambda: pdfs.form_in_itself(1), READ, samples.KETTLE),
    row("a form twice in itself", "a.pdf", lambda: pdfs.form_in_itself(2), "parser_timeout", limits=SHORT),
    row("forms that multiply", "a.pdf", lambda: pdfs.forms_that_double(9), "parser_timeout", limits=SHORT),
    row("letters that draw themselves", "a.pdf", pdfs.glyphs_that_draw_themselves, READ, samples.KETTLE),
    row("arrays in arrays", "a.pdf", lambda: pdfs.nested_arrays(100_000), READ + "|corrupt|no_text"),
    row("dictionaries in dictionaries", "a.pdf", lambda: pdfs.nested_dictionaries(100_000), READ + "|corrupt|no_text"),
    row("a million letters on a page", "a.pdf", lambda: pdfs.letters(1_100_000), "too_large"),
    row("an object in itself", "a.pdf", pdfs.objects_in_themselves, READ, samples.KETTLE),
    row("an endless title", "a.pdf", lambda: pdfs.title(2), READ, samples.KETTLE),
    row(
        "a script on opening",
        "a.pdf",
        lambda: pdfs.act(b"/S/JavaScript/JS(app.launchURL\\('http://192.0.2.1'\\))"),
        READ,
        samples.KETTLE,
    ),
    row("a program on opening", "a.pdf", lambda: pdfs.act(b"/S/Launch/F(/bin/sh)"), READ, samples.KETTLE),
    row("an address on opening", "a.pdf", lambda: pdfs.act(b"/S/URI/URI(http://192.0.2.1/)"), READ, samples.KETTLE),
    row("a form that sends itself", "a.pdf", lambda: pdfs.act(b"/S/SubmitForm/F(http://192.0.2.1/)"), READ, samples.KETTLE),
    row(
        "a file elsewhere",
        "a.pdf",
        lambda: pdfs.act(b"/S/GoToR/F(\\\\\\\\192.0.2.1\\\\s\\\\a.pdf)/D[0/Fit]"),
        READ,
        samples.KETTLE,
    ),
    row("a form with entities", "a.pdf", pdfs.form_with_entities, READ, samples.KETTLE),
    row(
        "contents from afar",
        "a.pdf",
        lambda: pdfs.page(content_object=pdfs.stream(b"", b"/F<</FS/URL/F(http://192.0.2.1/c)>>")),
        "no_text",
    ),
    row("a PDF that is a page too", "a.pdf", lambda: b"<script>alert(1)</script>\n" + samples.pdf(), READ, samples.KETTLE),
]

PAGES = [
    row("tags in tags", "a.html", lambda: texts.web("<div>" * 100_000), READ + "|unsafe|corrupt"),
    row("tags never closed", "a.html", lambda: texts.web("<b><i>" * 100_000), READ + "|unsafe|corrupt"),
    row("an endless attribute", "a.html", lambda: texts.web(f"<p title='{'a' * 11_000_000}'>x"), READ + "|unsafe|corrupt"),
    row(
        "a cell of endless width",
        "a.html",
        lambda: texts.web("<table><tr><td colspan=99999999999 rowspan=99999999>a<td>b</table>"),
        READ,
        SAFE,
    ),
    row(
        "cells that hang down",
        "a.html",
        lambda: texts.web("<table><tr>" + "<td rowspan=65534>a" * 3_000 + "<tr><td>b" * 300 + "</table>"),
        READ + "|too_large",
        limits=LIMITS,
    ),
    row(
        "entries in a cell",
        "a.html",
        lambda: texts.web("<table><tr><th>a<th>b<tr><td>" + "<li>x" * 20_000 + "<td>y</table>"),
        READ,
        SAFE,
    ),
    row(
        "a page that loads",
        "a.html",
        lambda: texts.web(
            "<img src=http://192.0.2.1/i><iframe src=file:///etc/passwd></iframe><script src=//192.0.2.1></script>",
            "<base href=http://192.0.2.1><meta http-equiv=refresh content='0;url=http://192.0.2.1'><link rel=preload href=//192.0.2.1/p as=image>",
        ),
        READ,
        SAFE,
    ),
    row(
        "a page with entities",
        "a.html",
        lambda: f"<!doctype html [<!ENTITY s SYSTEM 'file:///etc/passwd'>]><p>{SAFE} &s;</p>".encode(),
        READ,
        SAFE,
    ),
    row(
        "a page that is XML with entities",
        "a.xhtml",
        lambda: f"<?xml version='1.0'?>{xml.LAUGHS}<html><body><p>{SAFE} &i;</p></body></html>".encode(),
        READ,
        SAFE,
    ),
    row("a page in puny code", "a.html", lambda: texts.charset("punycode", b"<p>" + b"a-" * 60_000), READ, SAFE),
    row("a page in host names", "a.html", lambda: texts.charset("idna"), READ, SAFE),
    row("a page in escapes", "a.html", lambda: texts.charset("unicode_escape", b"<p>\\ud800\\u202e"), READ, SAFE),
    row("a page in no encoding", "a.html", lambda: texts.charset("undefined"), READ, SAFE),
    row("a packed page", "a.html", lambda: texts.charset("zlib"), READ, SAFE),
    row("a page in UTF-7", "a.html", lambda: texts.charset("utf-7", b"+ADw-script+AD4-"), READ, SAFE),
    row("signs that nobody sees", "a.html", lambda: texts.web(f"<h1>{texts.UNSEEN}</h1>"), READ, SAFE),
    row("signs that nobody sees, Markdown", "a.md", lambda: f"# {texts.UNSEEN}\n\n{SAFE}".encode(), READ, SAFE),
    row("signs that nobody sees, text", "a.txt", lambda: f"{SAFE} {texts.UNSEEN}".encode(), READ, SAFE),
    row("commands for a terminal", "a.txt", lambda: f"{SAFE}\x1b]0;x\x1b[2J".encode(), READ, SAFE),
    row("quotes in quotes", "a.md", lambda: b">" * 50_000 + SAFE.encode(), "empty"),
    row("lists in lists", "a.md", lambda: b"".join(b" " * (2 * n) + b"- x\n" for n in range(500)) + SAFE.encode(), READ),
    row("brackets without end", "a.md", lambda: SAFE.encode() + b"\n\n" + b"[" * 100_000, READ + "|parser_timeout", SAFE, SHORT),
    row("stars without end", "a.md", lambda: SAFE.encode() + b"\n\n" + b"*a _b " * 5_000, READ + "|parser_timeout", SAFE, SHORT),
    row("ticks without end", "a.md", lambda: SAFE.encode() + b"\n\n" + b"".join(b"`" * n + b" " for n in range(300)), READ, SAFE),
    row(
        "references without end",
        "a.md",
        lambda: SAFE.encode() + b"\n\n" + b"".join(b"[a%d]: /%d\n" % (n, n) for n in range(5_000)),
        READ,
        SAFE,
    ),
    row(
        "pictures from afar",
        "a.md",
        lambda: SAFE.encode() + b"\n\n![x](http://192.0.2.1/i)<img src=http://192.0.2.1/j>[r]\n\n[r]: http://192.0.2.1/k",
        READ,
        SAFE,
    ),
    row("a quote never closed", "a.csv", lambda: b'a,b\n"' + b"x,\n" * 700_000, "corrupt|read|too_large"),
    row("quotes without end", "a.csv", lambda: SAFE.encode() + b"\n" + b'"' * 30_000, READ, limits=LIMITS),
    row("quotes between commas", "a.csv", lambda: b'",' * 30_000, READ + "|empty|parser_timeout", limits=SHORT),
    row("columns without end", "a.csv", lambda: b"a," * 60_000 + b"\n" + SAFE.encode(), READ, SAFE),
    row("formulas", "a.csv", lambda: b"a,b\n=cmd|' /C calc'!A0," + SAFE.encode(), READ, SAFE),
    row("an endless line", "a.txt", lambda: b"x" * 5_000_000, "too_large"),
    row("more than allowed", "a.txt", lambda: b"word and word\n\n" * 400_000, "too_large"),
    row("ten thousand pages", "a.txt", lambda: b"page\f" * 10_000, "too_many_pages"),
    row("bytes that are no text", "a.txt", lambda: SAFE.encode() * 2_000 + bytes(range(256)) * 200, "mislabelled|read"),
    row("half a character", "a.txt", lambda: b"\xff\xfe" + SAFE.encode("utf-16-le") + b"\x00\xd8\x01", READ, SAFE),
]

LETTERS = [
    row("parts in parts", "a.eml", lambda: texts.parts_in_parts(3_000), "unsafe|read"),
    row("letters in letters", "a.eml", lambda: texts.letters_in_letters(3_000), "unsafe|read"),
    row("headers without end", "a.eml", lambda: texts.letter("X-A: b\r\n" * 100_000), READ, SAFE),
    row("an endless header", "a.eml", lambda: texts.letter(f"To: {'a' * 2_000_000}\r\n"), READ, SAFE),
    row("remarks in remarks", "a.eml", lambda: texts.letter(f"Cc: {'(' * 20_000}\r\n"), "unsafe|read"),
    row(
        "groups of people",
        "a.eml",
        lambda: texts.letter(f"Cc: {'a:b@c;,' * 3_000}\r\n"),
        READ + "|unsafe|parser_timeout",
        limits=SHORT,
    ),
    row(
        "encoded words",
        "a.eml",
        lambda: texts.letter(f"Cc: {'=?utf-8?q?=00=E2=80=AE?= ' * 3_000}\r\n"),
        READ + "|parser_timeout",
        limits=SHORT,
    ),
    row("attachments without end", "a.eml", lambda: texts.attachments(1_000), READ, SAFE),
    row("a letter in puny code", "a.eml", lambda: texts.letter(kind="text/plain; charset=punycode"), READ),
    row("a letter in no encoding", "a.eml", lambda: texts.letter(kind="text/plain; charset=undefined"), READ, SAFE),
    row("a letter packed", "a.eml", lambda: texts.letter(kind="text/plain; charset=zlib"), READ, SAFE),
    row(
        "a body from afar",
        "a.eml",
        lambda: texts.letter(kind='message/external-body; access-type=URL; URL="http://192.0.2.1/"'),
        READ,
    ),
    row(
        "a page in a letter",
        "a.eml",
        lambda: texts.letter(body=texts.web("<img src=http://192.0.2.1/i>").decode(), kind="text/html"),
        READ,
        SAFE,
    ),
    row("parts without a border", "a.eml", lambda: texts.letter(kind="multipart/mixed"), READ),
    row(
        "bytes where letters belong",
        "a.eml",
        lambda: b"From: a@b\r\nSubject: \xff\xfe\x80\xe2\x80\xae\r\n\r\n" + SAFE.encode(),
        READ,
        SAFE,
    ),
    row(
        "a base of sixty-four and nothing",
        "a.eml",
        lambda: texts.letter("Content-Transfer-Encoding: base64\r\n", "!!!!" * 9_999),
        READ,
    ),
]

CORPUS = [*EARLY, *ARCHIVES, *MARKUP, *OFFICE, *PDFS, *PAGES, *LETTERS]

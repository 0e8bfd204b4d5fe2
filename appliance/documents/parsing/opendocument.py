"""ODT, read from its XML (OpenDocument 1.3 part 3)."""

from __future__ import annotations

from lxml import etree

from appliance.documents.parsing.archives import Archive, open_archive
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.tables import Cell, Table, reach
from appliance.documents.rejections import rejected
from appliance.language.rows import figures_below

_MIME = b"application/vnd.oasis.opendocument.text"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_MANIFEST = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_SKIPPED = {f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_OFFICE}forms", f"{_TEXT}sequence-decls"}
_REPEATED = 50
_LOWEST_LEVEL = 9


def parse_odt(path: str, draft: Draft, _report: object) -> str:
    """Headings, paragraphs, lists and tables in order; a page begins where the word processor last broke one."""
    with open_archive(path, main="content.xml") as archive:
        if "mimetype" in archive.names and not archive.read("mimetype").strip().startswith(_MIME):
            raise rejected("document.mislabelled")
        _refuse_encrypted(archive)
        body = archive.xml("content.xml").find(f"{_OFFICE}body/{_OFFICE}text")
        if body is None:
            raise rejected("document.mislabelled")
        draft.page()
        _add_all(body, draft, listed=False)
        if "meta.xml" not in archive.names:
            return ""
        return archive.xml("meta.xml").findtext(f".//{_TITLE}", default="") or ""


def _add_all(parent: etree._Element, draft: Draft, *, listed: bool) -> None:
    for node in parent:
        if node.tag in _SKIPPED:
            continue
        if node.tag == f"{_TEXT}h":
            draft.heading(min(reach(node.get(f"{_TEXT}outline-level")), _LOWEST_LEVEL), _text(node))
        elif node.tag == f"{_TEXT}p":
            if node.find(f".//{_TEXT}soft-page-break") is not None:
                draft.page()
            text = _text(node)
            draft.block(f"- {text}" if listed and text.strip() else text, separator="\n" if listed else "\n\n")
        elif node.tag == f"{_TEXT}soft-page-break":
            draft.page()
        elif node.tag == f"{_TABLE}table":
            _add_table(node, draft)
        else:
            _add_all(node, draft, listed=listed or node.tag == f"{_TEXT}list-item")


def _add_table(node: etree._Element, draft: Draft) -> None:
    # those of a table within a cell are told by that cell
    rows = [row for row in node.iter(f"{_TABLE}table-row") if next(row.iterancestors(f"{_TABLE}table")) is node]
    told = [[one for cell in row.findall(f"{_TABLE}table-cell") for one in _cells(cell)] for row in rows]
    headers = [next(row.iterancestors()).tag == f"{_TABLE}table-header-rows" for row in rows]
    if not any(headers) and figures_below([[cell.text for cell in cells] for cells in told]):
        headers[0] = True
    table = Table()
    for cells, header in zip(told, headers, strict=True):
        draft.block(table.line(cells, header=header))


def _cells(cell: etree._Element) -> list[Cell]:
    """Its paragraphs; one within a text box is told by the paragraph that the box hangs on. Equal neighbours are written once."""
    paragraphs = cell.iter(f"{_TEXT}p")
    text = " ".join(_text(paragraph) for paragraph in paragraphs if next(paragraph.iterancestors(f"{_TEXT}p"), None) is None)
    across, down, times = (
        reach(cell.get(f"{_TABLE}number-{what}")) for what in ("columns-spanned", "rows-spanned", "columns-repeated")
    )
    return [Cell(text, across, down)] * min(times, _REPEATED)


def _text(node: etree._Element) -> str:
    """Text of a paragraph with its spaces, tabs and line breaks, which are elements here; notes stand in brackets."""
    parts = [node.text or ""]
    for child in node:
        if child.tag == f"{_TEXT}s":
            parts.append(" ")
        elif child.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif child.tag == f"{_TEXT}note":
            body = child.find(f"{_TEXT}note-body")
            parts.append(f" ({_text(body).strip()}) " if body is not None else "")
        elif child.tag == f"{_TEXT}p":
            parts.append(f"\n{_text(child)}\n")
        elif child.tag not in _SKIPPED and isinstance(child.tag, str):
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _refuse_encrypted(archive: Archive) -> None:
    name = "META-INF/manifest.xml"
    if name in archive.names and archive.xml(name).find(f".//{_MANIFEST}encryption-data") is not None:
        raise rejected("document.encrypted")

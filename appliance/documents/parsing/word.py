"""DOCX, read from its XML: text boxes, inserted text and notes included, deleted text left out (ECMA-376 part 1, section 17)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lxml import etree

from appliance.documents.parsing.archives import Archive, open_archive
from appliance.documents.parsing.compatibility import read_once
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.relations import package_title, targets
from appliance.documents.parsing.tables import Cell, Table, reach
from appliance.language.rows import figures_below, reads_as_headers

_MAIN = "word/document.xml"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING_STYLE = re.compile(r"heading ([1-9])", re.IGNORECASE)
_OUTLINE_LEVELS = frozenset("012345678")
_VALUE = f"{_W}val"


def parse_docx(path: str, draft: Draft, _report: object) -> str:
    """Paragraphs and tables in order, then notes; a page begins where the word processor last broke one."""
    with open_archive(path, main=_MAIN) as archive:
        levels = _style_levels(archive)
        draft.page()
        body = archive.xml(_MAIN).find(f"{_W}body")
        if body is not None:
            for block in _blocks(body):
                _add(block, levels, draft)
        for kind, part in targets(archive, _MAIN).values():
            if kind in {"footnotes", "endnotes"}:
                for note in archive.xml(part):
                    draft.block(" ".join(_text(paragraph) for paragraph in note.iter(f"{_W}p")))
        return package_title(archive)


def _blocks(parent: etree._Element) -> Iterator[etree._Element]:
    """Paragraphs and tables, also those inside content controls."""
    for child in parent:
        if child.tag in {f"{_W}p", f"{_W}tbl"}:
            yield child
        elif child.tag in {f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins"}:
            yield from _blocks(child)


def _add(block: etree._Element, levels: dict[str, int], draft: Draft) -> None:
    if block.tag == f"{_W}tbl":
        _add_table(block, draft)
        return
    if _breaks_page(block):
        draft.page()
    text = _text(block)
    level = _level(block, levels)
    if level:
        draft.heading(level, text)
    else:
        listed = block.find(f"{_W}pPr/{_W}numPr") is not None
        draft.block(f"- {text}" if listed and text.strip() else text, separator="\n" if listed else "\n\n")


def _rows(table: etree._Element) -> Iterator[etree._Element]:
    """The table's own rows; those of a table within a cell belong to that cell."""
    return (row for row in read_once(table, f"{_W}tr") if next(row.iterancestors(f"{_W}tbl")) is table)


def _add_table(node: etree._Element, draft: Draft) -> None:
    rows = list(_rows(node))
    told = _cells(rows)
    headers = [_on(row.find(f"{_W}trPr/{_W}tblHeader")) for row in rows]
    if not any(headers) and len(rows) > 1:
        words = [[cell.text for cell in cells] for cells in told]
        bold = _bold(rows[0]) and not _bold(rows[1])
        headers[0] = figures_below(words) or (bold and reads_as_headers(words[0]))
    table = Table()
    for cells, header in zip(told, headers, strict=True):
        draft.block(table.line(cells, header=header))


def _cells(rows: Sequence[etree._Element]) -> list[list[Cell]]:
    """The cells of each row. A cell merged downwards is told once, where it begins: hence from the last row up."""
    told: list[list[Cell]] = []
    below: dict[int, int] = {}
    for row in reversed(rows):
        cells: list[Cell] = []
        covered: dict[int, int] = {}
        column = 0
        for node in row.findall(f"{_W}tc"):
            text = _cell(node)
            across = node.find(f"{_W}tcPr/{_W}gridSpan")
            merged = node.find(f"{_W}tcPr/{_W}vMerge")
            width = reach(across.get(_VALUE)) if across is not None else 1
            if merged is not None and merged.get(_VALUE, "continue") == "continue" and not text.strip():
                covered[column] = below.get(column, 0) + 1
            else:
                cells.append(Cell(text, width, 1 + below.get(column, 0)))
            column += width
        below = covered
        told.append(cells)
    return told[::-1]


def _cell(cell: etree._Element) -> str:
    """Its paragraphs; one within a text box is told by the paragraph that the box hangs on."""
    paragraphs = read_once(cell, f"{_W}p")
    return " ".join(_text(paragraph) for paragraph in paragraphs if next(paragraph.iterancestors(f"{_W}p"), None) is None)


def _bold(row: etree._Element) -> bool:
    runs = [run for run in row.iter(f"{_W}r") if run.find(f"{_W}t") is not None]
    return bool(runs) and all(_on(run.find(f"{_W}rPr/{_W}b")) for run in runs)


def _on(switch: etree._Element | None) -> bool:
    return switch is not None and switch.get(_VALUE, "1") not in {"0", "false", "off"}


def _breaks_page(paragraph: etree._Element) -> bool:
    if paragraph.find(f".//{_W}lastRenderedPageBreak") is not None or paragraph.find(f"{_W}pPr/{_W}pageBreakBefore") is not None:
        return True
    return any(mark.get(f"{_W}type") == "page" for mark in paragraph.iter(f"{_W}br"))


def _text(paragraph: etree._Element) -> str:
    parts: list[str] = []
    for node in read_once(paragraph):
        if node.tag == f"{_W}t":
            parts.append("" if _hidden(node) else node.text or "")
        elif node.tag == f"{_W}tab":
            parts.append("\t")
        elif node.tag in {f"{_W}br", f"{_W}cr"}:
            parts.append("\n")
        elif node.tag == f"{_W}noBreakHyphen":
            parts.append("-")
        elif node.tag == f"{_W}p" and parts and node is not paragraph:
            parts.append("\n")
    return "".join(parts)


def _hidden(text: etree._Element) -> bool:
    """Whether Word shows it to nobody, unless asked to."""
    run = text.getparent()
    return run is not None and _on(run.find(f"{_W}rPr/{_W}vanish"))


def _level(paragraph: etree._Element, levels: dict[str, int]) -> int:
    outline = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
    if outline is not None:
        return _outline_level(outline)
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    return levels.get(style.get(_VALUE, ""), 0) if style is not None else 0


def _style_levels(archive: Archive) -> dict[str, int]:
    """Style id to heading level: by the built-in name, which no translation changes, else by outline level."""
    if "word/styles.xml" not in archive.names:
        return {}
    levels: dict[str, int] = {}
    for style in archive.xml("word/styles.xml").iter(f"{_W}style"):
        name = style.find(f"{_W}name")
        shown = name.get(_VALUE, "") if name is not None else ""
        named = _HEADING_STYLE.fullmatch(shown)
        outline = style.find(f"{_W}pPr/{_W}outlineLvl")
        level = 1 if shown.lower() == "title" else int(named.group(1)) if named else 0
        if not level and outline is not None:
            level = _outline_level(outline)
        if level:
            levels[style.get(f"{_W}styleId", "")] = level
    return levels


def _outline_level(outline: etree._Element) -> int:
    value = outline.get(_VALUE, "9")
    return int(value) + 1 if value in _OUTLINE_LEVELS else 0

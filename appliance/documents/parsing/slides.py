"""PPTX, read from its XML: a slide is a page, its notes stand below its text (ECMA-376 part 1, section 19)."""

from __future__ import annotations

from lxml import etree

from appliance.documents.parsing.archives import Archive, open_archive
from appliance.documents.parsing.compatibility import read_once
from appliance.documents.parsing.dispatch import Report
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.messages import Progress
from appliance.documents.parsing.relations import package_title, targets
from appliance.documents.parsing.tables import Cell, Table, reach
from appliance.language.rows import reads_as_headers

_MAIN = "ppt/presentation.xml"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_SHAPES = (f"{_P}sp", f"{_A}tbl")
_TITLES = {"title", "ctrTitle"}
_TRUE = {"1", "true"}
_FURNITURE = {"sldNum", "dt", "ftr", "hdr", "sldImg"}


def parse_pptx(path: str, draft: Draft, report: Report) -> str:
    """Slides in the order of the show; a slide without text stays a blank page, so that numbers agree."""
    with open_archive(path, main=_MAIN) as archive:
        parts = targets(archive, _MAIN)
        listed = [entry.get(_RELATION_ID, "") for entry in archive.xml(_MAIN).iter(f"{_P}sldId")]
        slides = [parts[relation][1] for relation in listed if relation in parts]
        for number, slide in enumerate(slides, start=1):
            draft.page(f"Slide {number}", keep_blank=True)
            _add_shapes(archive.xml(slide), draft)
            for kind, notes in targets(archive, slide).values():
                if kind == "notesSlide":
                    _add_notes(archive, notes, draft)
            report(Progress(number, len(slides)))
        return package_title(archive)


def _add_shapes(slide: etree._Element, draft: Draft) -> None:
    shapes = list(read_once(slide, *_SHAPES))
    # a reader sees the title first, wherever it stands in the file
    for shape in sorted(shapes, key=lambda item: _placeholder(item) not in _TITLES):
        if shape.tag == f"{_A}tbl":
            _add_table(shape, draft)
        elif _placeholder(shape) in _TITLES:
            draft.heading(1, " ".join(_paragraphs(shape)))
        elif _placeholder(shape) not in _FURNITURE:
            draft.block("\n".join(_paragraphs(shape)))


def _add_table(node: etree._Element, draft: Draft) -> None:
    rows = [[_cell(cell) for cell in row.findall(f"{_A}tc") if not _covered(cell)] for row in node.iter(f"{_A}tr")]
    properties = node.find(f"{_A}tblPr")
    marked = properties is not None and properties.get("firstRow") in _TRUE
    table = Table()
    for position, cells in enumerate(rows):
        header = position == 0 and marked and reads_as_headers([cell.text for cell in cells])
        draft.block(table.line(cells, header=header))


def _cell(cell: etree._Element) -> Cell:
    across, down = (reach(cell.get(name)) for name in ("gridSpan", "rowSpan"))
    return Cell(" ".join(_paragraphs(cell)), across, down)


def _covered(cell: etree._Element) -> bool:
    return cell.get("hMerge") in _TRUE or cell.get("vMerge") in _TRUE


def _add_notes(archive: Archive, part: str, draft: Draft) -> None:
    for shape in read_once(archive.xml(part), *_SHAPES):
        if _placeholder(shape) not in _FURNITURE:
            text = "\n".join(_paragraphs(shape))
            if text.strip():
                draft.block(f"Notes: {text}")


def _placeholder(shape: etree._Element) -> str:
    mark = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return mark.get("type", "body") if mark is not None else ""


def _paragraphs(shape: etree._Element) -> list[str]:
    found = []
    for paragraph in shape.iter(f"{_A}p"):
        parts = ["\n" if node.tag == f"{_A}br" else node.text or "" for node in paragraph.iter(f"{_A}t", f"{_A}br")]
        found.append("".join(parts))
    return [text for text in found if text.strip()]

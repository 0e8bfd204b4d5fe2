"""HTML as a reader sees it: headings, paragraphs, lists and tables; scripts, menus and hidden parts left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lxml import etree

from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.encoding import declared_encoding, decode
from appliance.documents.parsing.tables import Cell, Table, reach
from appliance.documents.rejections import rejected

_SKIPPED = frozenset(
    {"script", "style", "noscript", "template", "head", "nav", "svg", "math", "iframe", "object", "select", "button"}
)
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset"}
    | {"figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary"}
    | {"table", "tbody", "tfoot", "thead", "tr", "ul"}
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CELLS = frozenset({"td", "th"})
_PAGES = (*sorted(_HEADINGS), "table")
_STRUCTURED = (*_PAGES, "ul", "ol", "pre")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_SPACE = re.compile(r"\s+")


def parse_html(path: str, draft: Draft, _report: object) -> str:
    content = Path(path).read_bytes()
    return add_html(decode(content, declared=declared_encoding(content)), draft)


def add_html(markup: str, draft: Draft) -> str:
    """Put the text of a page of HTML on the draft; its title."""
    # the parser never fetches anything, and in HTML no document can declare entities of its own
    parser = etree.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(_XML_DECLARATION.sub("", markup), parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise rejected("document.corrupt") from error
    if root is None:
        return ""
    reader = _Reader(draft)
    for event, node in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            reader.start(node)
        else:
            reader.end(node)
    reader.flush()
    return _SPACE.sub(" ", root.findtext(".//title", default="") or "").strip()


class _Reader:
    """Gathers inline text, hands it on where a block begins or ends. No recursion: the page decides how deep it nests."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._parts: list[str] = []
        self._skipped: Any = None
        self._prefix = ""
        self._separator = "\n\n"
        self._verbatim = 0
        self._tables: list[Table] = []
        self._row: list[Cell] = []
        self._flat_cell: Any = None

    def start(self, node: Any) -> None:
        if self._skipped is not None:
            return
        tag = node.tag
        if tag in _SKIPPED or node.get("hidden") is not None or _HIDDEN.search(node.get("style") or ""):
            self._skipped = node
            return
        if tag in _BLOCKS or tag in _HEADINGS:
            self._break()
        if tag == "li":
            self._start_item()
        elif tag == "table" and self._flat_cell is None:
            self._tables.append(Table())
        elif tag == "pre":
            self._verbatim += 1
        elif tag == "br":
            self._parts.append("\n")
        elif tag == "img":
            self._parts.append(f" {node.get('alt') or ''} ")
        elif tag in _CELLS:
            self._start_cell(node)
        self._take(node.text)

    def end(self, node: Any) -> None:
        if self._skipped is not None:
            if node is self._skipped:
                self._skipped = None
                self._take(node.tail)
            return
        tag = node.tag
        if tag in _HEADINGS:
            text = "".join(self._parts)
            self._parts = []
            self._draft.heading(int(tag[1]), text)
        elif tag == "tr" and self._flat_cell is None:
            self._end_row(header=node.getparent().tag == "thead")
        elif tag in _BLOCKS:
            self._break()
        if tag == "pre":
            self._verbatim -= 1
        elif node is self._flat_cell:
            self._end_cell(node)
        elif tag == "table" and self._flat_cell is None:
            self._tables.pop()
        self._take(node.tail)

    def flush(self) -> None:
        """End the block under way."""
        self._end_row()
        text = "".join(self._parts)
        self._parts = []
        if text.strip():
            self._draft.block(self._prefix + text.strip(), separator=self._separator)
            self._prefix, self._separator = "", "\n\n"

    def _start_item(self) -> None:
        if self._flat_cell is None:
            self._prefix, self._separator = "- ", "\n"
        elif any(part.strip() for part in self._parts):
            self._parts.append("/ ")

    def _start_cell(self, node: Any) -> None:
        """A cell of plain text joins its row in one line; one that holds blocks is a small page (a layout table)."""
        if self._flat_cell is not None:
            return
        structured = _PAGES if self._tables and self._tables[-1].named else _STRUCTURED
        if not self._tables or next(node.iter(*structured), None) is not None:
            self.flush()
            return
        if "".join(self._parts).strip():
            self.flush()
        self._parts = []
        self._flat_cell = node

    def _end_cell(self, node: Any) -> None:
        across, down = (reach(node.get(name)) for name in ("colspan", "rowspan"))
        text = "".join(self._parts)
        self._row.append(Cell(text, across, down, title=node.tag == "th"))
        self._parts = []
        self._flat_cell = None

    def _end_row(self, *, header: bool = False) -> None:
        """Hand on the cells gathered; cells that are all titles are a header too."""
        row, self._row = self._row, []
        if row and self._tables:
            titles = all(cell.title or not cell.text.strip() for cell in row)
            self._draft.block(self._tables[-1].line(row, header=header or titles))
            self._prefix, self._separator = "", "\n\n"

    def _break(self) -> None:
        if self._flat_cell is None:
            self.flush()
        else:
            self._parts.append(" ")

    def _take(self, text: str | None) -> None:
        if text:
            self._parts.append(text if self._verbatim else _SPACE.sub(" ", text))

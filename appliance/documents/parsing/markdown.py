"""Markdown, read as its text without the marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.encoding import decode
from appliance.documents.parsing.tables import Cell, Table

_CELLS = {"th_open", "td_open"}


def parse_markdown(path: str, draft: Draft, _report: object) -> str:
    """Headings, paragraphs, list entries, table rows and code, in order; raw HTML is left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(_without_front_matter(decode(Path(path).read_bytes())))
    title = ""
    bullets = 0
    for position, token in enumerate(tokens):
        if token.type in {"fence", "code_block"}:
            draft.block(token.content)
        elif token.type == "table_open":
            _add_table(takewhile(lambda inside: inside.type != "table_close", islice(tokens, position, None)), draft)
        elif token.type == "list_item_open":
            bullets += 1
        elif token.type == "inline" and tokens[position - 1].type not in _CELLS:
            text = _text(token.children or [])
            opener = tokens[position - 1]
            if opener.type == "heading_open":
                title = title or text
                draft.heading(int(opener.tag[1]), text)
            elif bullets:
                draft.block(f"- {text}", separator="\n")
                bullets = 0
            else:
                draft.block(text)
    return title


def _add_table(tokens: Iterable[Token], draft: Draft) -> None:
    table = Table()
    row: list[Cell] = []
    opener = ""
    for token in tokens:
        if token.type == "inline":
            row.append(Cell(_text(token.children or []), title=opener == "th_open"))
        elif token.type == "tr_close":
            draft.block(table.line(row, header=all(cell.title for cell in row)))
            row = []
        opener = token.type


def _text(children: Sequence[Token]) -> str:
    parts = []
    for child in children:
        if child.type in {"text", "code_inline"}:
            parts.append(child.content)
        elif child.type in {"softbreak", "hardbreak"}:
            parts.append("\n")
        elif child.type == "image":
            parts.append(_text(child.children or []))
    return "".join(parts)


def _without_front_matter(text: str) -> str:
    if text.startswith("---\n"):
        end = text.find("\n---\n", 4)
        if 0 < end < 5_000:
            return text[end + 5 :]
    return text

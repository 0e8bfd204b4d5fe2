"""Markdown, read as its text without the marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.encoding import decode


def parse_markdown(path: str, draft: Draft, _report: object) -> str:
    """Headings, paragraphs, list entries, table rows and code, in order; raw HTML is left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(_without_front_matter(decode(Path(path).read_bytes())))
    title = ""
    row: list[str] | None = None
    bullets = 0
    for position, token in enumerate(tokens):
        if token.type in {"fence", "code_block"}:
            draft.block(token.content)
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            draft.block(" | ".join(row), separator="\n")
            row = None
        elif token.type == "list_item_open":
            bullets += 1
        elif token.type == "inline":
            text = _text(token.children or [])
            opener = tokens[position - 1]
            if row is not None:
                row.append(text)
            elif opener.type == "heading_open":
                title = title or text
                draft.heading(int(opener.tag[1]), text)
            elif bullets:
                draft.block(f"- {text}", separator="\n")
                bullets = 0
            else:
                draft.block(text)
    return title


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

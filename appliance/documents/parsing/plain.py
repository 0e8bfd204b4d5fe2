"""Plain text and tables of comma-separated values."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.encoding import decode
from appliance.documents.parsing.tables import described_rows

_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2})+|\d{1,2}(?=[.)]))[.)]?[ \t]+[^\W\d]")
_HEADING_CHARACTERS = 80
_DELIMITERS = ",;\t|"
_FIELD_CHARACTERS = 1_000_000


def parse_text(path: str, draft: Draft, _report: object) -> str:
    """Paragraphs of a text file; a form feed begins a new page, as printers had it."""
    for part in decode(Path(path).read_bytes()).replace("\r\n", "\n").replace("\r", "\n").split("\f"):
        draft.page()
        add_paragraphs(part, draft)
    return ""


def add_paragraphs(text: str, draft: Draft) -> None:
    """Put text on the draft whose paragraphs are parted by empty lines."""
    for paragraph in _PARAGRAPHS.split(text.replace("\r\n", "\n")):
        level = _heading_level(paragraph.strip())
        if level:
            draft.heading(level, paragraph)
        else:
            draft.block(paragraph)


def _heading_level(paragraph: str) -> int:
    """Typed headings: one short line without a full stop, numbered ("2.1 Scope") or in capitals throughout; else 0."""
    if not 0 < len(paragraph) <= _HEADING_CHARACTERS or "\n" in paragraph or paragraph[-1] in ".,;:!?":
        return 0
    numbered = _NUMBERED.match(paragraph)
    if numbered:
        return 2 + numbered.group(1).count(".")
    return int(paragraph.isupper() and sum(mark.isalpha() for mark in paragraph) > 3)


def parse_csv(path: str, draft: Draft, _report: object) -> str:
    """One line per row, each value behind the name of its column, so that a row found alone explains itself."""
    text = decode(Path(path).read_bytes()).replace("\x00", "")
    csv.field_size_limit(_FIELD_CHARACTERS)
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(text[:16_384], delimiters=_DELIMITERS)
    except csv.Error:
        dialect = csv.excel
    rows = csv.reader(text.splitlines(keepends=True), dialect)
    for line in described_rows(rows):
        draft.block(line)
    return ""

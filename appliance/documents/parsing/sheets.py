"""XLSX by openpyxl in its reading mode: a sheet is a page, values as last calculated."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from appliance.documents.parsing.archives import open_archive
from appliance.documents.parsing.dispatch import Report
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.messages import PAGES_LIMIT, Progress
from appliance.documents.parsing.tables import described_rows
from appliance.documents.rejections import rejected

_MAIN = "xl/workbook.xml"
_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_BLANK_ROWS = 1_000
"""A sheet ends after this many blank rows: a format applied to a whole column makes a million of them."""


def parse_xlsx(path: str, draft: Draft, report: Report) -> str:
    """Each visible sheet, one line per row, each value behind its column's header."""
    with open_archive(path, main=_MAIN) as archive:
        if any(archive.declares(name) for name in archive.names if name.endswith((".xml", ".rels"))):
            raise rejected("document.unsafe")
        # the library looks at each of them before it says how many there are
        if sum(1 for _ in archive.xml(_MAIN).iter(f"{_S}sheet")) > PAGES_LIMIT:
            raise rejected("document.too_many_pages")
    with open(path, "rb") as file:  # noqa: PTH123 - openpyxl judges a path by its extension, which this one has not
        try:
            workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except (InvalidFileException, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise rejected("document.corrupt") from error
        shown = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
        for number, sheet in enumerate(shown, start=1):
            draft.page(f"Sheet {sheet.title}", keep_blank=True)
            for line in described_rows(_rows(sheet)):
                draft.block(line)
            report(Progress(number, len(shown)))
        return workbook.properties.title or ""


def _rows(sheet: Any) -> Iterator[list[str]]:
    # what a sheet says of its size may be a lie, or a mistake: too much of it costs time, too little hides cells
    sheet.reset_dimensions()
    blank = 0
    for row in sheet.iter_rows(values_only=True):
        cells = ["" if value is None else _shown(value) for value in row]
        if any(cells):
            blank = 0
            yield cells
        else:
            blank += 1
            if blank > _BLANK_ROWS:
                return


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return str(value)

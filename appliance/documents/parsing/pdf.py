"""PDF by PDFium. Every character of a page's text is one PDFium character, so a span of text can be found on the page."""

from __future__ import annotations

import io
import time
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pypdfium2
from pypdfium2 import raw

from appliance.documents.parsing.columns import mark_columns, straighten
from appliance.documents.parsing.drafting import Draft
from appliance.documents.parsing.headings import Line, find_headings
from appliance.documents.parsing.hidden import Doubt, doubt_of, unseen
from appliance.documents.parsing.messages import PAGE_CHARACTERS, PAGES_LIMIT, PageText, Progress
from appliance.documents.parsing.running import without_running_lines
from appliance.documents.rejections import rejected
from appliance.language.seen import seen

_PASSWORD_ERROR = 4
_SECURITY_ERROR = 5
_SOFT_HYPHEN = "\u00ad"
_HYPHENS = {0x02, 0xFFFE}  # what PDFium puts where a line ends in a hyphen
_JOINERS = {0x200C, 0x200D}
_GAP = 1.75
"""A new paragraph begins where lines are this many times their own height apart, from top to top."""
_RESIZED = 1.12
_LONGEST_SIDE = 4_000
_PROGRESS_PAGES = 5
_NO_TITLES = frozenset({"untitled", "unknown"})


_LOOK_S, _LOOK_PAGE_S, _LOOK_LONGEST_S = 0.3, 0.003, 15.0
"""Time for drawing pages that may hide text: to begin with, more with each page; and for those that plainly try, in all."""
_FOUND_S = 3.0
_IN_VAIN = 20
"""After so many pages that plainly gave reason for nothing, the others wait for their time like all."""
_CONTROL_PAGES = 50
"""One page in so many is drawn without a reason."""


class Lookout:
    """Which pages are looked at for hidden text: those that give reason, and a few others; more of them once some was found.

    Time for those that give little reason comes with the pages, so that a long document is looked at all along.
    """

    def __init__(self) -> None:
        self._free_s = _LOOK_S
        self._left_s = _LOOK_LONGEST_S
        self._found = False
        self._in_vain = 0

    def hidden(self, page: Any, text_page: Any, characters: list[str], number: int) -> list[tuple[int, int]]:
        """Ranges of the page's characters that nobody sees."""
        started = time.monotonic()
        self._free_s += _LOOK_PAGE_S
        doubt = doubt_of(page)
        plain = doubt is Doubt.PLAIN and (self._found or self._in_vain < _IN_VAIN)
        willing = plain or (self._free_s > 0 and (self._found or doubt or number % _CONTROL_PAGES == 0))
        found = unseen(page, text_page, characters) if willing and self._left_s > 0 else []
        self._in_vain += plain and not found
        if found and not self._found:
            self._found, self._free_s = True, self._free_s + _FOUND_S
        spent = time.monotonic() - started
        self._left_s -= spent
        self._free_s -= spent
        return found


def open_pdf(path: str) -> Any:
    """The document at `path`. Raises `document.encrypted` and `document.corrupt`."""
    try:
        document = pypdfium2.PdfDocument(Path(path).read_bytes())
    except pypdfium2.PdfiumError as error:
        locked = getattr(error, "err_code", None) in {_PASSWORD_ERROR, _SECURITY_ERROR}
        raise rejected("document.encrypted" if locked else "document.corrupt") from error
    if len(document) == 0:
        raise rejected("document.corrupt")
    return document


def parse_pdf(path: str, draft: Draft, report: Any) -> str:
    """All pages in order; a page that PDFium cannot read counts as blank, unless none can be read."""
    document = open_pdf(path)
    total = len(document)
    if total > PAGES_LIMIT:
        raise rejected("document.too_many_pages")
    unreadable = 0
    pages: list[tuple[str, list[Line]]] = []
    hidden: list[int] = []
    lookout = Lookout()
    for number in range(total):
        try:
            text, lines, unseen_letters = _read_page(document, number, lookout)
        except pypdfium2.PdfiumError:
            text, lines, unseen_letters = "", [], 0
            unreadable += 1
        pages.append((text, lines))
        hidden.append(unseen_letters)
        if number % _PROGRESS_PAGES == 0 or number + 1 == total:
            report(Progress(number + 1, total))
    if unreadable == total:
        raise rejected("document.corrupt")
    pages = without_running_lines(pages)
    heights = Counter[float]()
    for line in (line for _, lines in pages for line in lines):
        heights[line.height] += line.end - line.start
    for (text, headings), letters in zip(find_headings(pages, heights), hidden, strict=True):
        draft.whole_page(PageText(text, "", headings, letters))
    title = str(document.get_metadata_dict().get("Title", "")).strip()
    return "" if title.lower() in _NO_TITLES else title


def _read_page(document: Any, number: int, lookout: Lookout) -> tuple[str, list[Line], int]:
    """Text, lines, and how many letters were left out of both because nobody sees them; blanks stand in their place."""
    page = document[number]
    letters = 0
    try:
        text_page = page.get_textpage()
        try:
            characters = _characters(text_page)
            for start, end in lookout.hidden(page, text_page, characters, number):
                letters += sum(character.isalnum() for character in characters[start:end])
                characters[start:end] = ["\n" if character == "\n" else " " for character in characters[start:end]]
            straighten(text_page, characters)
            lines = _lines(text_page, characters)
            mark_columns(text_page, characters, lines)
        finally:
            text_page.close()
    finally:
        page.close()
    for before, line in pairwise(lines):
        blank_cell = "\t" in characters[before.end : line.start]
        if not blank_cell and _begins_paragraph(before, line, characters[line.start]):
            # PDFium ends lines with CR LF; making both a newline marks the paragraph and keeps every offset
            characters[before.end : line.start] = "\n" * (line.start - before.end)
    return "".join(characters), lines, letters


def _begins_paragraph(before: Line, line: Line, first: str) -> bool:
    """A line far below the one before, or in another size; one further up is the next column, where a sentence may go on."""
    smaller, larger = sorted((before.height, line.height))
    if larger > _RESIZED * smaller:
        return True
    apart = before.last_top - line.top
    return not first.islower() and not 0 <= apart <= _GAP * larger


def _characters(text_page: Any) -> list[str]:
    handle = text_page.raw
    unicode_of = raw.FPDFText_GetUnicode
    count = text_page.count_chars()
    if count > PAGE_CHARACTERS:
        raise rejected("document.too_large")
    return [_character(unicode_of(handle, index)) for index in range(count)]


@lru_cache(maxsize=65_536)
def _character(code: int) -> str:
    if code in _HYPHENS:
        return _SOFT_HYPHEN
    if code == 0x0A:
        return "\n"
    if code < 0x20 or code == 0x7F:
        return " "
    if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        return "\ufffd"
    # nothing may fall away, since offsets count PDFium's characters; this sign takes no room either, and search leaves it out
    return chr(code) if seen(chr(code)) or code in _JOINERS else _SOFT_HYPHEN


def _lines(text_page: Any, characters: list[str]) -> list[Line]:
    """Lines with something on them, and where their first visible character stands."""
    lines: list[Line] = []
    box = raw.FS_RECTF()
    start = 0
    for part in "".join(characters).split("\n"):
        end = start + len(part)
        visible = start + len(part) - len(part.lstrip())
        if visible < end and raw.FPDFText_GetLooseCharBox(text_page.raw, visible, box):
            trimmed = start + len(part.rstrip())
            top, height = box.top, round(abs(box.top - box.bottom), 1)
            raw.FPDFText_GetLooseCharBox(text_page.raw, trimmed - 1, box)
            lines.append(Line(visible, trimmed, top, height, box.top))
        start = end + 1
    return lines


def render_page(path: str, number: int, width: int) -> bytes:
    """The page as a PNG, `width` pixels wide; very long pages come out smaller."""
    page = open_pdf(path)[number - 1]
    points_wide, points_high = page.get_size()
    scale = min(width / max(points_wide, 1), _LONGEST_SIDE / max(points_high, 1))
    image = page.render(scale=scale, draw_annots=True).to_pil()
    out = io.BytesIO()
    image.convert("RGB").save(out, "PNG", compress_level=3)
    return out.getvalue()


def locate(path: str, number: int, start: int, end: int) -> tuple[tuple[float, float, float, float], ...]:
    """Rectangles around the characters from `start` to `end` of the page, as shares of its shown width and height."""
    page = open_pdf(path)[number - 1]
    text_page = page.get_textpage()
    count = max(0, min(end, text_page.count_chars()) - start)
    return tuple(_shares(page, text_page.get_rect(index)) for index in range(text_page.count_rects(start, count)))


def _shares(page: Any, rectangle: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    from ctypes import byref, c_int

    grid = 100_000
    left, bottom, right, top = rectangle
    corners = []
    for x, y in ((left, top), (right, bottom)):
        across, down = c_int(), c_int()
        raw.FPDF_PageToDevice(page.raw, 0, 0, grid, grid, 0, x, y, byref(across), byref(down))
        corners.append((across.value / grid, down.value / grid))
    (x1, y1), (x2, y2) = corners
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

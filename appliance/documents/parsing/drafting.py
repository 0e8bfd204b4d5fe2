"""Pages in the making: parsers hand over blocks and headings, this keeps offsets, page sizes and the output limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from appliance.documents.parsing.messages import PAGES_LIMIT, PageText
from appliance.documents.rejections import rejected
from appliance.language.seen import one_line, seen

PART_CHARACTERS = 12_000
"""Formats without pages are cut into parts of about this size, at the end of a block, so that a viewer can show one."""

_LABEL_CHARACTERS = 200
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
_SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")


def clean(text: str) -> str:
    """One block of running text: unprintable characters out, runs of spaces to one, no empty lines."""
    printable = seen(_LINE_ENDS.sub("\n", text))
    lines = (_SPACES.sub(" ", line).strip() for line in printable.split("\n"))
    return "\n".join(line for line in lines if line)


def _parts(text: str) -> Iterator[str]:
    """`text` in parts that fit on a page, cut at a line end or a space where there is one: a file may be one endless line."""
    start = 0
    while len(text) - start > 2 * PART_CHARACTERS:
        latest = start + 2 * PART_CHARACTERS
        earliest = start + PART_CHARACTERS
        cut = max(text.rfind("\n", earliest, latest), text.rfind(" ", earliest, latest))
        end = cut if cut > 0 else latest
        yield text[start:end]
        start = end + (cut > 0)
    if start < len(text):
        yield text[start:]


def _shortened(label: str) -> str:
    return one_line(label)[:_LABEL_CHARACTERS]


class Draft:
    """Collects the pages of one document and passes each on as soon as it is complete."""

    def __init__(self, emit: Callable[[PageText], None], *, output_bytes: int) -> None:
        self._emit = emit
        self._left = output_bytes
        self._label = ""
        self._keep_blank = self._untitled = False
        self._size = 0
        self._blocks: list[str] = []
        self._headings: list[tuple[int, int, int]] = []
        self.page_count = 0
        self.blank = True

    def block(self, text: str, *, separator: str = "\n\n") -> None:
        """Add a paragraph, a list entry or, with a single newline as separator, a further line of the block before."""
        for part in _parts(clean(text)):
            self._append(part, separator)
            separator = "\n"

    def heading(self, level: int, text: str) -> None:
        """Add a heading of `level` 1 (highest) to 9."""
        cleaned = clean(text).replace("\n", " ")
        if len(cleaned) > PART_CHARACTERS:
            self.block(cleaned)
        elif cleaned:
            start = self._append(cleaned, "\n\n")
            if self._untitled:
                self._label, self._untitled = _shortened(cleaned), False
            self._headings.append((level, start, start + len(cleaned)))

    def page(self, label: str = "", *, keep_blank: bool = False, untitled: bool = False) -> None:
        """Finish the page under way and begin another; with `keep_blank` it counts even if nothing is put on it.

        Where it is `untitled`, its first heading takes the place of the label.
        """
        self.finish()
        self._label = _shortened(label)
        self._keep_blank, self._untitled = keep_blank, untitled

    def finish(self) -> None:
        """Pass on the page under way, if there is one."""
        if self._blocks or self._keep_blank:
            self.whole_page(PageText("".join(self._blocks), self._label, tuple(self._headings)))
        self._blocks, self._headings, self._size, self._keep_blank = [], [], 0, False

    def whole_page(self, page: PageText) -> None:
        """Pass on a page a parser has put together itself."""
        self._left -= len(page.text) * 4 if not page.text.isascii() else len(page.text)
        if self._left < 0:
            raise rejected("document.too_large")
        if self.page_count >= PAGES_LIMIT:
            raise rejected("document.too_many_pages")
        self.page_count += 1
        self.blank = self.blank and not page.text.strip()
        self._emit(page)

    def _append(self, text: str, separator: str) -> int:
        if self._size > PART_CHARACTERS or (self._size and self._size + len(text) > 2 * PART_CHARACTERS):
            self.finish()
        if self._blocks:
            self._blocks.append(separator)
            self._size += len(separator)
        start = self._size
        self._blocks.append(text)
        self._size += len(text)
        return start

"""Running heads and feet of a PDF: the same line at the same place of page after page, which belongs to none of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from appliance.documents.parsing.headings import Line

_PAGES = 3
"""So many pages must carry it; on fewer it may as well be text."""
_LINES = 3
_LONGEST = 120
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")

Page = tuple[str, list[Line]]


def without_running_lines(pages: Sequence[Page]) -> list[Page]:
    """The pages with such lines blanked, so that every offset stays; a page number in the line may change."""
    sizes = Counter(line.height for _, lines in pages for line in lines)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    outermost = [_outermost(text, lines, body) for text, lines in pages]
    seen = Counter(key for page in outermost for key in page)
    cleaned = []
    for (text, lines), found in zip(pages, outermost, strict=True):
        taken = {id(line) for key, line in found.items() if seen[key] >= _PAGES}
        for line in lines:
            if id(line) in taken:
                text = text[: line.start] + " " * (line.end - line.start) + text[line.end :]  # noqa: PLW2901 - grown in place
        cleaned.append((text, [line for line in lines if id(line) not in taken]))
    return cleaned


def _outermost(text: str, lines: Sequence[Line], body: float) -> dict[tuple[str, int], Line]:
    """The highest and the lowest line, and the one behind each that is a number alone; by masked text and place in points.

    A line larger than the `body` is a heading ("Step 1", "Step 2"), and on a page of two lines either may be all it says.
    """
    found: dict[tuple[str, int], Line] = {}
    if len(lines) < _LINES:
        return found
    by_height = sorted(lines, key=lambda line: -line.top)
    for edge in (by_height, by_height[::-1]):
        for line in edge[:2]:
            masked = _NUMBER.sub("#", text[line.start : line.end].casefold())
            if len(masked) <= _LONGEST and line.height <= body:
                found[masked, round(line.top)] = line
            if masked.strip("#-\u2013/. "):
                break
    return found

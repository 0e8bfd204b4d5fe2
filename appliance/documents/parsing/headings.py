"""Headings of a PDF, which has none: short lines set larger than the running text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LARGER = 1.12
_LONGEST = 160
_LEVELS = 4
_SHARE = 0.2
"""When more than this share of a document is set large, size says nothing about headings."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page: offsets in its text, top edge and height of its first character, top edge of its last, in points.

    The last stands lower than the first where a hyphen joined several printed lines into one.
    """

    start: int
    end: int
    top: float
    height: float
    last_top: float


def find_headings(
    pages: Sequence[tuple[str, list[Line]]], heights: Counter[float]
) -> Iterator[tuple[str, tuple[tuple[int, int, int], ...]]]:
    """Each page's text with its headings; the largest size in the document is level 1. `heights` counts characters."""
    running = heights.most_common(1)[0][0] if heights else 0.0
    large = sorted((height for height in heights if height > running * _LARGER), reverse=True)
    if sum(heights[height] for height in large) > _SHARE * sum(heights.values()):
        large = []
    levels = {height: min(position, _LEVELS) for position, height in enumerate(large, start=1)}
    for text, lines in pages:
        yield text, tuple(_page_headings(text, lines, levels))


def _page_headings(text: str, lines: Sequence[Line], levels: dict[float, int]) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    follows = False
    for line in lines:
        level = levels.get(line.height)
        shown = text[line.start : line.end]
        if level is None or len(shown) > _LONGEST or not any(mark.isalpha() for mark in shown):
            follows = False
            continue
        if follows and found[-1][0] == level and line.end - found[-1][1] <= _LONGEST:
            found[-1] = (level, found[-1][1], line.end)  # a heading on two lines
        else:
            found.append((level, line.start, line.end))
        follows = True
    return found

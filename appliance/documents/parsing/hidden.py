"""Text of a PDF page that nobody sees who looks at the page.

The text layer says what stands where; the page as it is drawn shows whether anything is there. Drawing costs more than reading,
so a page is drawn only where one of its objects gives a reason (`doubt_of`): letters without ink, in a light colour, tiny or
off the page, or under something that was painted over them. Scanned pages with their recognised text behind the picture give
none. A character is unseen when its place is of one colour all over.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pypdfium2 import raw

_SHORTEST_RUN = 6
"""Letters and digits in a row; a few of them may be lost in any drawing."""
_CONTRAST = 8
_SAME_COLOUR = 24
_LIGHT, _WHITE, _CLEAR = 190, 240, 26
_TINY_POINTS = 1.2
_LONGEST_SIDE = 1_600
_OBJECTS = 4_000
_PAIRS = 40_000
_WHOLE_PAGE = 0.7
_NOT_RECOGNISED = 0.6
_BEYOND = 2
"""What marks a letter beyond the edge of what is shown, where others have 1."""
_LATIN_END = 0x250  # up to here PDFium has letters of its own
_INKLESS = {3, 7}  # text rendering modes of the PDF standard: neither filled nor stroked
_HARMLESS_NOTES = {raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_WIDGET}

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in points."""


@dataclass(frozen=True, slots=True)
class _Ink:
    """How letters are painted: rendering mode, brightness and opacity (0 to 255), whether their font is in the file."""

    mode: int
    light: int
    opacity: int
    embedded: bool


class Doubt(IntEnum):
    """Whether a page is worth drawing: where one can be, time allowing; where one is, always."""

    NONE = 0
    POSSIBLE = 1
    PLAIN = 2


def doubt_of(page: Any) -> Doubt:
    """What the objects of the page give reason for."""
    count = raw.FPDFPage_CountObjects(page.raw)
    found = Doubt.POSSIBLE if count > _OBJECTS or _has_notes(page) else Doubt.NONE
    return max(found, _Painting(page, min(count, _OBJECTS)).doubt())


class _Painting:
    """The objects of a page in the order in which they are painted."""

    def __init__(self, page: Any, count: int) -> None:
        self._shown: Box = page.get_cropbox()
        items = [raw.FPDFPage_GetObject(page.raw, at) for at in range(count)]
        self._items = [(item, raw.FPDFPageObj_GetType(item)) for item in items]
        pictures = (_bounds(item) for item, kind in self._items if kind == raw.FPDF_PAGEOBJ_IMAGE)
        self.scanned = any(_area(picture) >= _WHOLE_PAGE * _area(self._shown) for picture in pictures)
        self._texts: list[Box] = []
        self._grounds: list[Box] = []
        """What was painted that letters of the same colour would not show on."""

    def doubt(self) -> Doubt:
        worst = Doubt.NONE
        for item, kind in self._items:
            if kind == raw.FPDF_PAGEOBJ_TEXT:
                worst = max(worst, self._text(item))
            elif worst is Doubt.NONE or len(self._texts) * len(self._grounds) < _PAIRS:
                worst = max(worst, self._other(item, kind))
            if worst is Doubt.PLAIN:
                break
        return worst

    def _text(self, item: Any) -> Doubt:
        box, ink = _bounds(item), _ink(item)
        self._texts.append(box)
        if ink.mode in _INKLESS:
            return Doubt.NONE if self.scanned else Doubt.PLAIN
        if ink.opacity < _CLEAR or not _meet(box, self._shown) or _is_tiny(item, box):
            return Doubt.PLAIN
        grounded = len(self._texts) * len(self._grounds) > _PAIRS or any(_meet(box, ground) for ground in self._grounds)
        if ink.light > _LIGHT and not grounded:
            return Doubt.PLAIN if ink.light > _WHITE else Doubt.POSSIBLE
        beyond = box[0] < self._shown[0] or box[2] > self._shown[2]
        return Doubt.POSSIBLE if grounded or beyond else Doubt.NONE

    def _other(self, item: Any, kind: int) -> Doubt:
        if kind == raw.FPDF_PAGEOBJ_PATH:
            return self._cover(item, _filled_light(item))
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            return self._cover(item, _LIGHT + 1 if self.scanned else 0)
        return Doubt.POSSIBLE  # a group or a shading: what it paints is not looked into

    def _cover(self, item: Any, light: int | None) -> Doubt:
        """Something with this brightness is painted; nothing is, where that is None."""
        if light is None:
            return Doubt.NONE
        box = _bounds(item)
        if light <= _LIGHT:
            self._grounds.append(box)
        return Doubt.POSSIBLE if any(_meet(box, text) for text in self._texts) else Doubt.NONE


def unseen(page: Any, text_page: Any, characters: Sequence[str]) -> list[tuple[int, int]]:
    """Ranges of the page's characters that are not visible where the page is drawn."""
    wide, high = page.get_size()
    scale = min(1.0, _LONGEST_SIDE / max(wide, high, 1))
    image = page.render(scale=scale, grayscale=True, draw_annots=True).to_pil()
    inks: dict[int, _Ink] = {}
    letters = [
        at for at, character in enumerate(characters) if character.isalnum() and not raw.FPDFText_IsGenerated(text_page.raw, at)
    ]
    flags = bytearray(len(characters))
    for at in letters:
        flags[at] = _is_unseen(page, text_page, at, image, inks)
    _trust_overlong_lines(flags, characters)
    if any(flags) and _Painting(page, raw.FPDFPage_CountObjects(page.raw)).scanned:
        _trust_recognition(text_page, flags, letters, inks)
    return list(_runs(flags, characters))


def _trust_overlong_lines(flags: bytearray, characters: Sequence[str]) -> None:
    """A line that runs past the edge is nobody's secret, as long as most of it stands on the page."""
    start = 0
    for line in "".join(characters).split("\n"):
        end = start + len(line)
        letters = [at for at in range(start, end) if characters[at].isalnum()]
        beyond = [at for at in letters if flags[at] == _BEYOND]
        if beyond and sum(not flags[at] for at in letters) >= len(beyond):
            for at in beyond:
                flags[at] = False
        start = end + 1


def _trust_recognition(text_page: Any, flags: bytearray, letters: Sequence[int], inks: dict[int, _Ink]) -> None:
    """Recognised text lies roughly behind the picture of it: only where most of it has nothing in front is it none."""
    recognised = [at for at in letters if _ink_of(text_page, at, inks).mode in _INKLESS]
    if sum(flags[at] for at in recognised) < _NOT_RECOGNISED * len(recognised):
        for at in recognised:
            flags[at] = False


def _is_unseen(page: Any, text_page: Any, at: int, image: Any, inks: dict[int, _Ink]) -> int:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    if not raw.FPDFText_GetCharBox(text_page.raw, at, left, right, bottom, top):
        return False
    wide, high = right.value - left.value, top.value - bottom.value
    if wide <= 0 or high <= 0:
        return False  # nothing is known of where it stands
    if high < _TINY_POINTS / 2 and _height(text_page, at) < _TINY_POINTS:
        return True
    x1, y1 = _on_image(page, image, left.value, top.value)
    x2, y2 = _on_image(page, image, right.value, bottom.value)
    # with what is around it: a stroke fills its own place, and is of one colour too
    box = (
        max(0, min(x1, x2) - 1),
        max(0, min(y1, y2) - 1),
        min(image.width, max(x1, x2) + 2),
        min(image.height, max(y1, y2) + 2),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return _BEYOND
    darkest, lightest = image.crop(box).getextrema()
    return lightest - darkest <= _CONTRAST and _is_lost(text_page, at, darkest, inks)


def _is_lost(text_page: Any, at: int, ground: int, inks: dict[int, _Ink]) -> bool:
    """Whether a letter that does not show is hidden: one that PDFium and the file have no font for is merely missing."""
    ink = _ink_of(text_page, at, inks)
    if ink.mode in _INKLESS or ink.opacity < _CLEAR or abs(ink.light - ground) <= _SAME_COLOUR:
        return True
    return ink.embedded or raw.FPDFText_GetUnicode(text_page.raw, at) < _LATIN_END


def _runs(flags: bytearray, characters: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where unseen characters follow one another, with the signs between them."""
    start, end, letters = 0, 0, 0
    for at, character in enumerate(characters):
        if flags[at]:
            if not letters:
                start = at
            letters, end = letters + 1, at + 1
        elif character.isalnum():
            if letters >= _SHORTEST_RUN:
                yield start, end
            letters = 0
    if letters >= _SHORTEST_RUN:
        yield start, end


def _on_image(page: Any, image: Any, x: float, y: float) -> tuple[int, int]:
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page.raw, 0, 0, image.width, image.height, 0, x, y, across, down)
    return across.value, down.value


def _height(text_page: Any, at: int) -> float:
    box = raw.FS_RECTF()
    return abs(box.top - box.bottom) if raw.FPDFText_GetLooseCharBox(text_page.raw, at, box) else _TINY_POINTS


def _ink_of(text_page: Any, at: int, inks: dict[int, _Ink]) -> _Ink:
    item = raw.FPDFText_GetTextObject(text_page.raw, at)
    address = ctypes.cast(item, ctypes.c_void_p).value or 0
    if address not in inks:
        inks[address] = _ink(item) if address else _Ink(0, 0, 255, embedded=False)
    return inks[address]


def _ink(item: Any) -> _Ink:
    mode = raw.FPDFTextObj_GetTextRenderMode(item)
    light, opacity = _fill(item)
    font = raw.FPDFTextObj_GetFont(item)
    return _Ink(mode, light, opacity, embedded=bool(font) and raw.FPDFFont_GetIsEmbedded(font) == 1)


def _fill(item: Any) -> tuple[int, int]:
    """Brightness and opacity; black where nothing is said."""
    red, green, blue, opacity = (ctypes.c_uint() for _ in range(4))
    if not raw.FPDFPageObj_GetFillColor(item, red, green, blue, opacity):
        return 0, 255
    return (299 * red.value + 587 * green.value + 114 * blue.value) // 1000, opacity.value


def _filled_light(item: Any) -> int | None:
    """The brightness of a filled shape; None for what is only outlined, or clear."""
    mode, stroked = ctypes.c_int(), ctypes.c_int()
    if not raw.FPDFPath_GetDrawMode(item, mode, stroked) or mode.value == raw.FPDF_FILLMODE_NONE:
        return None
    light, opacity = _fill(item)
    return light if opacity >= _CLEAR else None


def _bounds(item: Any) -> Box:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    raw.FPDFPageObj_GetBounds(item, left, bottom, right, top)
    return left.value, bottom.value, right.value, top.value


def _is_tiny(item: Any, box: Box) -> bool:
    """Whether letters are too small to see; dashes and spaces are low as well."""
    left, bottom, right, top = box
    size, matrix = ctypes.c_float(), raw.FS_MATRIX()
    if min(top - bottom, right - left) >= _TINY_POINTS or not raw.FPDFTextObj_GetFontSize(item, size):
        return False
    raw.FPDFPageObj_GetMatrix(item, matrix)
    return size.value * max(math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d)) < _TINY_POINTS


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _has_notes(page: Any) -> bool:
    """Whether notes are drawn upon the page that may cover what is written there."""
    for at in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        note = raw.FPDFPage_GetAnnot(page.raw, at)
        subtype = raw.FPDFAnnot_GetSubtype(note)
        raw.FPDFPage_CloseAnnot(note)
        if subtype not in _HARMLESS_NOTES:
            return True
    return False

"""Pictures that the box draws itself."""

from __future__ import annotations

from itertools import groupby

import segno

_MARGIN = 4
"""Squares of white around it, without which readers do not find it."""


def qr_picture(text: str) -> tuple[int, str]:
    """`text` as a QR code: how many squares it is wide and high, its margin included, and the dark ones as the path of an SVG."""
    matrix = segno.make(text, error="m", micro=False).matrix
    rows = [
        f"M{start + _MARGIN} {y + _MARGIN}h{length}v1h-{length}z" for y, row in enumerate(matrix) for start, length in _runs(row)
    ]
    return len(matrix) + 2 * _MARGIN, "".join(rows)


def _runs(row: bytes | bytearray | tuple[int, ...]) -> list[tuple[int, int]]:
    """Where dark squares that touch each other begin, and how many they are."""
    found, at = [], 0
    for dark, squares in groupby(row):
        length = len(list(squares))
        if dark:
            found.append((at, length))
        at += length
    return found

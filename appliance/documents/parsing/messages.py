"""What parent and child say to each other: msgpack behind a four-byte length."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

LENGTH = struct.Struct(">I")
PAGES_LIMIT = 6_000
"""Pages, slides, sheets, chapters or parts of one document. As much running text as is taken from one file fits on fewer."""

PAGE_CHARACTERS = 1_000_000
"""A page is divided into passages as a whole, and a hundred bytes of memory go into each of its characters."""


class ParseJob(msgspec.Struct, tag=True, frozen=True):
    """Read the text of a file."""

    media_type: str


class RenderJob(msgspec.Struct, tag=True, frozen=True):
    """Draw page `number` (from 1) of a PDF, `width` pixels wide."""

    number: int
    width: int


class LocateJob(msgspec.Struct, tag=True, frozen=True):
    """Find where the characters `start` to `end` of a PDF page stand on it."""

    number: int
    start: int
    end: int


MESSAGE_BYTES: dict[type[ParseJob | RenderJob | LocateJob], int] = {
    ParseJob: 8 * 1024 * 1024,
    RenderJob: 64 * 1024 * 1024,
    LocateJob: 1024 * 1024,
}
"""Longest single message the parent accepts: one page of text, one picture, the places on one page."""


class Order(msgspec.Struct, frozen=True):
    """The one message the child receives: what to do with the file behind a descriptor, within which limits."""

    job: ParseJob | RenderJob | LocateJob
    descriptor: int
    memory_mb: int
    cpu_s: int
    output_bytes: int


class Progress(msgspec.Struct, tag=True, frozen=True):
    done: int
    total: int


class PageText(msgspec.Struct, tag=True, frozen=True):
    """One page; the headings are (level, start, end) within it. `hidden` letters were left out, which nobody sees on the page."""

    text: str
    label: str = ""
    headings: tuple[tuple[int, int, int], ...] = ()
    hidden: int = 0


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The file cannot be read; `code` is one of `documents/rejections.py`."""

    code: str


class Finished(msgspec.Struct, tag=True, frozen=True):
    """The end of a file that was read, with the title it gives itself."""

    title: str = ""


class Picture(msgspec.Struct, tag=True, frozen=True):
    png: bytes


class Rectangles(msgspec.Struct, tag=True, frozen=True):
    """Left, top, right, bottom, each 0 to 1 of the page."""

    items: tuple[tuple[float, float, float, float], ...]


Answer = Progress | PageText | Refused | Finished | Picture | Rectangles
_encoder = msgspec.msgpack.Encoder()


def send(stream: BinaryIO, message: Answer) -> None:
    """Write one message and flush it, so that progress is seen when it happens."""
    body = _encoder.encode(message)
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()

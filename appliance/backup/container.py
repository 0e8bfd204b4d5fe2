"""The archive is a tar file (POSIX.1-1988, ustar) of plain files and nothing else, so that every machine can look into it.

What we read we parse ourselves: no links, no directories, no extensions, no member beyond the end mark. A size above 8 GiB is
written in base 256, as GNU tar and bsdtar do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import InvalidInput, Unavailable

_BLOCK = 512
_PIECE_BYTES = 1024 * 1024
_NAME, _PREFIX = 100, 155
_OCTAL_LIMIT = 8**11
_MAGIC = b"ustar\x0000"


class Sink(Protocol):
    """Where an archive is written to."""

    def write(self, piece: bytes, /) -> object: ...


class Source(Protocol):
    """Where an archive is read from."""

    def read(self, length: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; its `pieces` are read before the next member is asked for."""

    name: str
    size_bytes: int
    pieces: Iterator[bytes]


def damaged(what: str) -> InvalidInput:
    return InvalidInput(f"The archive is damaged, cut off, or no backup of Cloister: {what}.", code="backup.damaged")


def write_member(sink: Sink, name: str, size_bytes: int, modified_s: int, pieces: Iterable[bytes]) -> str:
    """Write one file; the SHA-256 of its content. Raises `Unavailable` where `pieces` are not `size_bytes` long."""
    sink.write(header(name, size_bytes, modified_s))
    digest, written = hashlib.sha256(), 0
    for piece in pieces:
        written += len(piece)
        digest.update(piece)
        sink.write(piece)
    if written != size_bytes:
        raise Unavailable(f"{name} changed while it was copied; try again.", code="backup.changed")
    sink.write(bytes(-size_bytes % _BLOCK))
    return digest.hexdigest()


def write_end(sink: Sink) -> None:
    sink.write(bytes(2 * _BLOCK))


def header(name: str, size_bytes: int, modified_s: int) -> bytes:
    """The block before a file. Raises `ValueError` for a name that does not fit."""
    prefix, _, short = name.rpartition("/")
    if len(name.encode()) <= _NAME:
        prefix, short = "", name
    if len(short.encode()) > _NAME or len(prefix.encode()) > _PREFIX:
        raise ValueError(f"a name too long for an archive: {name}")
    size = f"{size_bytes:011o}\0".encode() if size_bytes < _OCTAL_LIMIT else b"\x80" + size_bytes.to_bytes(11, "big")
    fields = [short.encode().ljust(_NAME, b"\0"), b"0000600\0", b"0000000\0", b"0000000\0", size, f"{modified_s:011o}\0".encode()]
    rest = [b"0", bytes(100), _MAGIC, bytes(32), bytes(32), bytes(8), bytes(8), prefix.encode().ljust(_PREFIX, b"\0"), bytes(12)]
    checksum = sum(b"".join(fields)) + 8 * ord(" ") + sum(b"".join(rest))
    return b"".join((*fields, f"{checksum:06o}\0 ".encode(), *rest))


def read_members(file: Source) -> Iterator[Member]:
    """Each file in turn, to the end mark, behind which nothing may follow. Raises `InvalidInput` (`backup.damaged`)."""
    while True:
        block = _exactly(file, _BLOCK)
        if not any(block):
            if any(_exactly(file, _BLOCK)) or file.read(1):
                raise damaged("something follows its end")
            return
        name, size = _parsed(block)
        pieces = _content(file, size)
        yield Member(name, size, pieces)
        for _ in pieces:  # what the caller left
            pass
        if any(_exactly(file, -size % _BLOCK)):
            raise damaged(f"something is hidden behind {name}")


def _parsed(block: bytes) -> tuple[str, int]:
    claimed = block[148:156].rstrip(b"\0 ")
    if claimed != f"{sum(block[:148]) + 8 * ord(' ') + sum(block[156:]):06o}".encode():
        raise damaged("a header does not add up")
    if block[257:265] != _MAGIC or block[156:157] != b"0" or any(block[157:257]):
        raise damaged("it holds something that is no plain file")
    try:
        short, prefix = (field.rstrip(b"\0").decode() for field in (block[:_NAME], block[345:500]))
        size = int.from_bytes(block[125:136], "big") if block[124] == 0x80 else _octal(block[124:135])
    except ValueError:
        raise damaged("a header cannot be read") from None
    return f"{prefix}/{short}" if prefix else short, size


def _octal(field: bytes) -> int:
    if re.fullmatch(rb"[0-7]+", field) is None:  # `int` would take a sign and underscores, too
        raise ValueError(field)
    return int(field, 8)


def _content(file: Source, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left:
        piece = file.read(min(left, _PIECE_BYTES))
        if not piece:
            raise damaged("it ends too early")
        left -= len(piece)
        yield piece


def _exactly(file: Source, length: int) -> bytes:
    found = file.read(length)
    if len(found) != length:
        raise damaged("it ends too early")
    return found

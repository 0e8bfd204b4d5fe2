"""What a file is, decided by its content and its extension together; where the two disagree it is refused.

The first piece of a file is enough to tell families apart (`check_upload`). Which member of the ZIP family it is, and whether
text is really text, is settled by the parsers, which see the whole file.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from pathlib import PurePosixPath

from appliance.documents.rejections import rejected

HEAD_BYTES = 4_096
"""How much of the beginning `check_upload` wants to see."""


class MediaType(StrEnum):
    """The formats read here, by their registered names."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ODT = "application/vnd.oasis.opendocument.text"
    EPUB = "application/epub+zip"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"
    CSV = "text/csv"
    EML = "message/rfc822"


EXTENSIONS: dict[str, MediaType] = {
    ".pdf": MediaType.PDF,
    ".docx": MediaType.DOCX,
    ".pptx": MediaType.PPTX,
    ".xlsx": MediaType.XLSX,
    ".odt": MediaType.ODT,
    ".epub": MediaType.EPUB,
    ".html": MediaType.HTML,
    ".htm": MediaType.HTML,
    ".xhtml": MediaType.HTML,
    ".md": MediaType.MARKDOWN,
    ".markdown": MediaType.MARKDOWN,
    ".txt": MediaType.TEXT,
    ".text": MediaType.TEXT,
    ".csv": MediaType.CSV,
    ".tsv": MediaType.CSV,
    ".eml": MediaType.EML,
}
_WITH_MACROS = frozenset({".docm", ".dotm", ".xlsm", ".xltm", ".xlsb", ".xlam", ".pptm", ".potm", ".ppsm", ".ppam"})
ZIP_FAMILY = frozenset({MediaType.DOCX, MediaType.PPTX, MediaType.XLSX, MediaType.ODT, MediaType.EPUB})
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BINARY_MARKS = (
    b"%PDF-",
    b"PK\x03\x04",
    b"PK\x05\x06",
    _COMPOUND_FILE,
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x7fELF",
    b"MZ\x90",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"{\\rtf",
)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MARKUP = re.compile(rb"<\s*(!doctype|[a-z][a-z0-9]*)[\s>/]", re.IGNORECASE)
_MAIL_HEADER = re.compile(rb"\A(?:From [^\n]*\n)?[\w-]{2,60}:[^\n]*\n")
_NAME_LIMIT = 255


def file_name(name: str) -> str:
    """The last part of a path as a browser may send it, free of control characters, at most 255 characters long."""
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = "".join(" " if unicodedata.category(mark) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else mark for mark in last)
    tidy = " ".join(unicodedata.normalize("NFC", shown).split())
    if len(tidy) <= _NAME_LIMIT:
        return tidy
    suffix = PurePosixPath(tidy).suffix[:16]
    return tidy[: _NAME_LIMIT - len(suffix)] + suffix


def by_extension(name: str) -> MediaType:
    """What the name says the file is. Raises `document.unsupported`, and `document.macros` for kinds that exist to carry them."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _WITH_MACROS:
        raise rejected("document.macros")
    found = EXTENSIONS.get(suffix)
    if found is None:
        raise rejected("document.unsupported")
    return found


def check_upload(name: str, head: bytes) -> MediaType:
    """The type of a file with this name that begins with `head` (at least `HEAD_BYTES`, if it is that long).

    Raises `document.empty`, `document.unsupported`, `document.encrypted` and `document.mislabelled`.
    """
    claimed = by_extension(name)
    if not head.strip(b"\x00 \t\r\n\f\xef\xbb\xbf"):
        raise rejected("document.empty")
    if claimed in ZIP_FAMILY and head.startswith(_COMPOUND_FILE):
        # an Office file with a password is a compound file around an encrypted package; anything else there is a mix-up
        raise rejected("document.encrypted" if claimed not in {MediaType.ODT, MediaType.EPUB} else "document.mislabelled")
    if not _agrees(claimed, head):
        raise rejected("document.mislabelled")
    return claimed


def _agrees(claimed: MediaType, head: bytes) -> bool:
    if claimed is MediaType.PDF:
        return b"%PDF-" in head[:1024]
    if claimed in ZIP_FAMILY:
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))
    if not looks_like_text(head):
        return False
    if claimed is MediaType.HTML:
        return bool(_MARKUP.search(head.replace(b"\x00", b"")))
    if claimed is MediaType.EML:
        return bool(_MAIL_HEADER.match(head.replace(b"\r\n", b"\n").lstrip(b"\xef\xbb\xbf\n")))
    return True


def looks_like_text(head: bytes) -> bool:
    """Whether these bytes may be text in some encoding; NUL is accepted only where a byte order mark says UTF-16."""
    if head.startswith(_BINARY_MARKS):
        return False
    if head.startswith(_UTF16_MARKS):
        return True
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return b"\x00" not in head and controls * 50 <= len(head)

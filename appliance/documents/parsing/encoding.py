"""Bytes to text, for formats that do not say how they are encoded."""

from __future__ import annotations

import codecs
import re

from appliance.documents.media_types import looks_like_text
from appliance.documents.rejections import rejected

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_SAMPLE_BYTES = 128 * 1024
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "raw_unicode_escape", "undefined"}) | {
    *("unicode-escape", "unicode_escape", "utf-7", "mbcs", "oem")
}


def decode(content: bytes, *, declared: str | None = None) -> str:
    """The text; tried in order: byte order mark, `declared`, UTF-8, a guess from the letters, Latin-1 of Windows.

    Raises `document.mislabelled` for content that is no text.
    """
    for mark, marked in _MARKS:
        if content.startswith(mark):
            return content.decode(marked, errors="replace")
    if not looks_like_text(content[:65_536]):
        raise rejected("document.mislabelled")
    for name in (declared, "utf-8"):
        if name is None or not _is_charset(name):
            continue
        try:
            return content.decode(name)
        except (UnicodeError, LookupError):
            # the second: a codec that unpacks bytes, but not to text
            continue
    return content.decode(_guess(content[:_SAMPLE_BYTES]), errors="replace")


def _is_charset(name: str) -> bool:
    """Whether a file may be written in it. Python knows others that are escapes or host names, some of them slow without end."""
    try:
        return codecs.lookup(name).name not in _NO_CHARSETS
    except (LookupError, ValueError):
        return False


def declared_encoding(content: bytes) -> str | None:
    """What a page of HTML or XML says about its own encoding in its first kilobytes."""
    found = _DECLARED.search(content[:4_096])
    return found.group(1).decode("ascii") if found else None


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"

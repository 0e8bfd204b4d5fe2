"""Files on their way out: always saved, never opened by the browser as a page of ours."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from urllib.parse import quote

from litestar.response import Stream

_ATTR_CHARS = "!#$&+-.^_`|~"


def content_disposition(name: str) -> str:
    """`attachment` with the name in both forms of RFC 6266: ASCII for old programs, UTF-8 (RFC 8187) for the others."""
    visible = "".join(letter for letter in name if not unicodedata.category(letter).startswith("C")) or "document"
    plain = unicodedata.normalize("NFKD", visible).encode("ascii", "ignore").decode()
    ascii_name = "".join("_" if letter in '"\\/%;' else letter for letter in plain).strip() or "document"
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(visible, safe=_ATTR_CHARS)}"


def attachment(name: str, pieces: Iterable[bytes], *, media_type: str, size_bytes: int | None = None) -> Stream:
    """A response that sends `pieces` as they come; the next is made only when the one before was sent."""
    headers = {"Content-Disposition": content_disposition(name), "Cache-Control": "no-store"}
    if size_bytes is not None:
        headers["Content-Length"] = str(size_bytes)
    return Stream(iter(pieces), media_type=media_type, headers=headers)

"""ZIP files that are built to harm whoever unpacks them, dressed as Word documents where nothing else is said."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import cache

from tests.documents_samples import archive, docx, xlsx

SAFE = "The kettle is descaled every Tuesday."
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word_xml(inner: str, before: str = "") -> str:
    return f"{before}<w:document {W}><w:body>{inner}</w:body></w:document>"


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


MAIN = word_xml(paragraph(SAFE))


def word(document: str | bytes = MAIN, **members: str | bytes) -> bytes:
    """A Word document with this main part; the names of further members are given with `__` for a slash."""
    return archive({"word/document.xml": document, **{name.replace("__", "/"): content for name, content in members.items()}})


def with_members(members: dict[str, str | bytes]) -> bytes:
    return archive({"word/document.xml": MAIN, **members})


@cache
def zeros(megabytes: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP file with one member of so many megabytes of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file, file.open("zeros.bin", "w") as member:
        for _ in range(megabytes):
            member.write(bytes(1_000_000))
    return out.getvalue()


def bomb(name: str, megabytes: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A document of which one member swells."""
    out = io.BytesIO(zeros(megabytes, method))
    with zipfile.ZipFile(out) as file:
        member = file.infolist()[0]
    raw = bytearray(out.getvalue())
    # the same bytes under another name: both names have to be as long
    assert len(name) <= len(member.filename) or name == member.filename
    raw = raw.replace(member.filename.encode(), name.ljust(len(member.filename), "_").encode())
    with zipfile.ZipFile(buffer := io.BytesIO(bytes(raw)), "a") as file:
        file.writestr("word/document.xml", MAIN)
    return buffer.getvalue()


def main_part_bomb() -> bytes:
    return word(word_xml(" " * 50_000_000))


def many_members() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        file.writestr("word/document.xml", MAIN)
        for number in range(20_001):
            file.writestr(f"m{number}", b"")
    return out.getvalue()


def _directory(content: bytes) -> tuple[int, int, int]:
    """Where the central directory starts, how long it is, how many entries it has."""
    end = content.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<HII", content, end + 10)
    return start, size, count


def overlapping_members() -> bytes:
    """Many entries that share one compressed run of bytes, as the densest bombs do."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a000", bytes(range(256)) * 4_000)
    content = out.getvalue()
    start, size, _ = _directory(content)
    entry = content[start : start + size]
    names = [f"a{number:03d}".encode() for number in range(900)]
    directory = b"".join(entry.replace(b"a000", name) for name in names)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(names), len(names), len(directory), start, 0)
    return content[:start] + directory + end


def patched(find: bytes, offset: int, value: bytes, content: bytes | None = None, *, last: bool = False) -> bytes:
    """The document with bytes overwritten at a distance from a mark."""
    raw = bytearray(content or word())
    at = (raw.rindex(find) if last else raw.index(find)) + offset
    raw[at : at + len(value)] = value
    return bytes(raw)


def declared_smaller() -> bytes:
    """Says in its directory that the member is ten bytes long."""
    return patched(b"PK\x01\x02", 24, struct.pack("<I", 10))


def declared_huge() -> bytes:
    return patched(b"PK\x01\x02", 24, struct.pack("<I", 0xFFFFFFF0))


def unknown_method() -> bytes:
    return patched(b"PK\x01\x02", 10, struct.pack("<H", 99), patched(b"PK\x03\x04", 8, struct.pack("<H", 99)))


def encrypted_flag() -> bytes:
    return patched(b"PK\x01\x02", 8, struct.pack("<H", 1), patched(b"PK\x03\x04", 6, struct.pack("<H", 1)))


def wrong_checksum() -> bytes:
    return patched(b"PK\x01\x02", 16, b"\0\0\0\0", patched(b"PK\x03\x04", 14, b"\0\0\0\0"))


def directory_elsewhere() -> bytes:
    return patched(b"PK\x05\x06", 16, struct.pack("<I", 0x7FFFFFF0))


def more_entries_than_there_are() -> bytes:
    return patched(b"PK\x05\x06", 8, struct.pack("<HHI", 65_535, 65_535, 0x00FFFFFF))


def doubled_main_part() -> bytes:
    import warnings

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.writestr("word/document.xml", MAIN)
        file.writestr("word/document.xml", word_xml(paragraph("what the other program sees")))
    return out.getvalue()


def linked_member() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("word/document.xml", MAIN)
        link = zipfile.ZipInfo("word/media/image1.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    return out.getvalue()


def nul_in_a_name() -> bytes:
    return word().replace(b"word/document.xml", b"word/documen\0.xml")


def nested(depth: int) -> bytes:
    """A document within a document within a document."""
    inner = word()
    for _ in range(depth):
        inner = with_members({"word/embeddings/inner.docx": inner})
    return inner


def bombs_in_bombs() -> bytes:
    """Ten archives of ten archives of zeros, 10 GB in all, where a document keeps what is embedded in it."""
    inner = zeros(100)
    for _ in range(2):
        inner = archive({f"{number}.zip": inner for number in range(10)})
    return with_members({"word/embeddings/numbers.zip": inner})


def only_an_archive() -> bytes:
    return archive({"inner.zip": docx(), "deeper/inner.zip": xlsx()})


def misleading_end() -> bytes:
    """A comment that holds the end of another archive: programs do not agree on which one counts."""
    return patched(b"PK\x05\x06", 20, struct.pack("<H", 22)) + b"PK\x05\x06" + bytes(18)


def after(prefix: bytes) -> bytes:
    return prefix + word()

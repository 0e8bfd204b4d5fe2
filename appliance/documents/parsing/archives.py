"""ZIP files opened with suspicion: members are counted and measured before one byte of them is unpacked."""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lxml import etree

from appliance.documents.rejections import rejected

_MEMBERS = 20_000
_MEMBER_BYTES = 256_000_000
_TOTAL_BYTES = 1_000_000_000
_RATIO = 250
_RATIO_FREE_BYTES = 4_000_000
"""Small members may shrink as much as they like: long runs of equal cells are ordinary."""
_PROLOGUE_BYTES = 65_536
_REMARKS = re.compile(r"<!--.*?-->|<\?.*?\?>|\s+", re.DOTALL)
_ROOT = re.compile(r"<\w")
_ENCRYPTED_FLAG = 0x1
_MACROS = re.compile(r"(?i)(?:^|/)(?:vbaProject[^/]*\.bin|vbaData\.xml)$|^xl/macrosheets/|^(?:Basic|Scripts)/.")
_TYPES = "[Content_Types].xml"
_MACRO_TYPE = b"macroenabled"
_XML_REASONS = {
    etree.ErrorTypes.ERR_NO_MEMORY: "document.parser_memory",
    etree.ErrorTypes.ERR_ENTITY_LOOP: "document.unsafe",
    etree.ErrorTypes.ERR_RESOURCE_LIMIT: "document.unsafe",
}
"""What libxml2 gives up on by itself (nesting, lengths, entities) is more than any program writes."""


class Archive:
    """The members of an opened ZIP file."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.names = frozenset(file.namelist())

    def read(self, name: str) -> bytes:
        """A member's content. Raises `document.corrupt` where it is missing or damaged."""
        try:
            return self._file.read(name)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
            raise rejected("document.corrupt") from error

    def declares(self, name: str) -> bool:
        """Whether an XML member begins with anything but its root element, remarks and instructions left aside.

        Such members of a package may hold no declarations (ECMA-376 part 2, 8.1.4), and through those entities come in.
        """
        try:
            with self._file.open(name) as member:
                head = member.read(_PROLOGUE_BYTES)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
            raise rejected("document.corrupt") from error
        wide = head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]
        text = head.decode("utf-16" if wide else "utf-8-sig", errors="replace")
        return bool(text) and _ROOT.match(_REMARKS.sub("", text)) is None

    def xml(self, name: str) -> etree._Element:
        """A member as XML. Raises `document.unsafe` for declared entities, `document.corrupt` for broken markup."""
        content = self.read(name)
        if b"<!ENTITY" in content:
            raise rejected("document.unsafe")
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
        try:
            root = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise rejected(_XML_REASONS.get(getattr(error, "code", 0), "document.corrupt")) from error
        # in UTF-16 and its kin the search above finds nothing
        declared: Any = root.getroottree().docinfo.internalDTD
        if declared is not None and next(declared.iterentities(), None) is not None:
            raise rejected("document.unsafe")
        return root


@contextmanager
def open_archive(path: str, *, main: str) -> Iterator[Archive]:
    """The ZIP file at `path`, which must have the member `main`.

    Raises `document.corrupt`, `document.encrypted`, `document.unsafe`, and `document.mislabelled` for an archive of another kind.
    """
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise rejected("document.corrupt") from error
    with file:
        check_members(file)
        archive = Archive(file)
        refuse_macros(archive)
        if main not in archive.names:
            raise rejected("document.mislabelled" if archive.names else "document.corrupt")
        yield archive


def check_members(file: zipfile.ZipFile) -> None:
    """Refuse what would unpack to more than a document can need; zipfile never unpacks more than a member declares."""
    members = file.infolist()
    if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
        raise rejected("document.encrypted")
    names = [member.filename for member in members]
    if len(set(names)) < len(names) or any(_leads_out(member) for member in members):
        raise rejected("document.unsafe")
    largest = max((member.file_size for member in members), default=0)
    total = sum(member.file_size for member in members)
    swollen = any(
        member.file_size > _RATIO_FREE_BYTES and member.file_size > _RATIO * max(member.compress_size, 1) for member in members
    )
    overlapping = sum(member.compress_size for member in members) > max(file.start_dir, 0)
    if overlapping or len(members) > _MEMBERS or largest > _MEMBER_BYTES or total > _TOTAL_BYTES or swollen:
        raise rejected("document.unsafe")


def _leads_out(member: zipfile.ZipInfo) -> bool:
    """Whether unpacking it would write outside of the folder it is unpacked to; no Office program makes such a member."""
    parts = member.filename.replace("\\", "/").split("/")
    rooted = parts[0] == "" or parts[0].endswith(":")
    return rooted or ".." in parts or stat.S_ISLNK(member.external_attr >> 16)


def refuse_macros(archive: Archive) -> None:
    """Macros never run here, but whoever downloads the file would carry them on. By their parts, whatever the file is called."""
    typed = _TYPES in archive.names and _MACRO_TYPE in archive.read(_TYPES).lower()
    if typed or any(_MACROS.search(name) for name in archive.names):
        raise rejected("document.macros")

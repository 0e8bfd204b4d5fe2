"""Reads an archive from its first byte to its last, once; what is found is compared with what it lists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.backup.container import Member, Source, damaged, read_members
from appliance.backup.keys import BackupKey
from appliance.backup.manifest import About, Entry, read_about, read_manifest, require_whole
from appliance.backup.names import ABOUT, BOX, DATABASE, KEY, MANIFEST, require_known
from appliance.errors import NotFound, SetupError

_SMALL_BYTES = 64_000_000
_MANIFEST_BYTES = 1_000_000_000
Open = Callable[[About, bytes | None], bytes | None]
"""Told what the archive says of itself, and of its key where it holds one; gives the root key, or None to read without."""
Keep = Callable[[str, Iterator[bytes]], Iterator[bytes]]
"""Given the name and the pieces of a member with a place of its own; passes the pieces on."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A whole archive. `sha256` is of the file, `box` the sealed part, `root` the key where there was one."""

    about: About
    about_bytes: bytes
    members: tuple[Entry, ...]
    sha256: str
    size_bytes: int
    box: bytes
    root: bytes | None
    holds_key: bool


def read_archive(path: Path, open_key: Open, keep: Keep) -> Contents:
    """Every member, digests compared, the MAC too where the key is known.

    Raises `NotFound` (`backup.missing`), `InvalidInput` (`backup.damaged`, `backup.newer`), and what `open_key` and `keep` raise.
    """
    try:
        with path.open("rb") as file:
            counted = _Counted(file)
            return _Reading(open_key, keep).read(counted)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", code="backup.missing") from None
    except IsADirectoryError:
        raise NotFound(f"{path} is a directory, not an archive.", code="backup.missing") from None


class _Counted:
    """Digest and length of all that is read through it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def read(self, length: int, /) -> bytes:
        piece = self._source.read(length)
        self.digest.update(piece)
        self.size_bytes += len(piece)
        return piece


class _Reading:
    """What is known so far."""

    def __init__(self, open_key: Open, keep: Keep) -> None:
        self._open_key = open_key
        self._keep = keep
        self._found: list[Entry] = []
        self._names: set[str] = set()
        self._small: dict[str, bytes] = {}
        self._opened = False
        self._root: bytes | None = None

    def read(self, source: _Counted) -> Contents:
        ended = False
        for member in read_members(source):
            require_known(member.name)
            if ended or member.name in self._names:
                raise damaged("a file stands in it where none may stand")
            self._names.add(member.name)
            if member.name == MANIFEST:
                self._small[MANIFEST] = _small(member, _MANIFEST_BYTES)
                ended = True
            else:
                self._take(member)
        return self._whole(source)

    def _take(self, member: Member) -> None:
        if (not self._found) != (member.name == ABOUT):
            raise damaged("it does not begin as one")
        if member.name != KEY and self._found and not self._opened:
            self._open()
        digest = hashlib.sha256()
        pieces = _digested(member.pieces, digest.update)
        if member.name in {ABOUT, KEY, BOX}:
            self._small[member.name] = _small(Member(member.name, member.size_bytes, pieces), _SMALL_BYTES)
        else:
            for _ in self._keep(member.name, pieces):
                pass
        self._found.append(Entry(member.name, member.size_bytes, digest.hexdigest()))
        if member.name == ABOUT:
            read_about(self._small[ABOUT])

    def _open(self) -> None:
        """Before anything large is read: a wrong key is told at once."""
        self._root = self._open_key(read_about(self._small[ABOUT]), self._small.get(KEY))
        self._opened = True

    def _whole(self, source: _Counted) -> Contents:
        if not {ABOUT, BOX, DATABASE, MANIFEST} <= self._names:
            raise damaged("something is missing")
        key = BackupKey(self._root) if self._root is not None else None
        require_whole(read_manifest(self._small[MANIFEST]), self._found, key)
        about = self._small[ABOUT]
        return Contents(
            read_about(about),
            about,
            tuple(self._found),
            source.digest.hexdigest(),
            source.size_bytes,
            self._small[BOX],
            self._root,
            KEY in self._small,
        )


def _small(member: Member, limit_bytes: int) -> bytes:
    if member.size_bytes > limit_bytes:
        raise damaged(f"{member.name} is too large")
    return b"".join(member.pieces)


def _digested(pieces: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece


def key_for(about: About, root: bytes) -> bytes:
    """`root`, if it is the key of this archive. Raises `SetupError` (`backup.wrong_key`)."""
    if BackupKey(root).id != about.key:
        raise SetupError("That is the root key of another box, not of this backup.", code="backup.wrong_key")
    return root

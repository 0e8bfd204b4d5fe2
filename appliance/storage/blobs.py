"""Content-addressed files, each encrypted while it streams to disk.

A blob is a header and a sequence of sealed segments, the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar 2015):
AES-256-GCM under a key of the blob's own, derived from a random salt, with the segment's position and an end mark in the
nonce, so that reordering, cutting and appending are all noticed. The name is a keyed digest of the content: the same file is
stored once, and nobody without the key can tell whether a known file is there.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import DocumentRejected, NotFound, Unavailable
from appliance.storage.durable import settle, sync

_MAGIC = b"CLB1"
_SALT_BYTES = 16
_SEGMENT_BYTES = 64 * 1024
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What came of a `put`: where it lies, how long it is and the SHA-256 of its plain content."""

    name: str
    size_bytes: int
    sha256: str


class BlobStore:
    """Encrypted files under one directory, two levels deep."""

    def __init__(self, directory: Path, key: bytes, name_key: bytes) -> None:
        self.directory = directory
        self._key = key
        self._name_key = name_key

    def writer(self, *, limit_bytes: int) -> BlobWriter:
        """A blob in the making, for callers that receive their content piece by piece."""
        return BlobWriter(self, limit_bytes)

    def put(self, pieces: Iterable[bytes], *, limit_bytes: int) -> StoredBlob:
        """Store the joined pieces, durable on return. Raises `DocumentRejected` above `limit_bytes`, leaving nothing."""
        writer = self.writer(limit_bytes=limit_bytes)
        try:
            for piece in pieces:
                writer.write(piece)
            return writer.commit()
        except BaseException:
            writer.discard()
            raise

    def read(self, name: str) -> Iterator[bytes]:
        """The plain content in pieces of at most 64 KiB. Raises `NotFound`, and `Unavailable` if the file was altered."""
        path = self.path(name)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise NotFound("The stored file is missing.", code="blob.missing", blob=name) from None
        with file:
            header = file.read(len(_MAGIC) + _SALT_BYTES)
            cipher = self._cipher(header[len(_MAGIC) :])
            sealed = file.read(_SEGMENT_BYTES + _TAG_BYTES)
            position = 0
            while True:
                following = file.read(_SEGMENT_BYTES + _TAG_BYTES)
                try:
                    yield cipher.decrypt(_nonce(position, last=not following), sealed, header)
                except InvalidTag:
                    raise Unavailable("The stored file was damaged or altered.", code="blob.damaged", blob=name) from None
                if not following:
                    return
                sealed, position = following, position + 1

    def remove(self, name: str) -> None:
        """Delete the file; nothing happens where it is already gone."""
        with suppress(FileNotFoundError):
            self.path(name).unlink()

    def names(self) -> Iterator[str]:
        """Names of all finished blobs."""
        return (path.name for path in self.directory.glob("??/*") if path.suffix != ".part")

    def holds(self, name: str) -> bool:
        """Whether a finished blob of this name is there."""
        return self.path(name).exists()

    def stored_bytes(self, name: str) -> int | None:
        """Length of the encrypted file; None where it is gone."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def modified_s(self, name: str) -> float | None:
        """When the blob was stored, in seconds since 1970 UTC; None where it is gone."""
        try:
            return self.path(name).stat().st_mtime
        except FileNotFoundError:
            return None

    def remove_drafts(self, *, older_than_s: float) -> int:
        """Delete drafts last written to before `older_than_s` (seconds since 1970 UTC): uploads that a crash cut off."""
        removed = 0
        for draft in self.directory.glob("drafts/*.part"):
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < older_than_s:
                    draft.unlink()
                    removed += 1
        return removed

    def content_name(self, sha256: str) -> str:
        """The name under which content with this SHA-256 lies, or would lie."""
        return hmac.new(self._name_key, bytes.fromhex(sha256), hashlib.sha256).hexdigest()

    def path(self, name: str) -> Path:
        """Where the encrypted file lies."""
        return self.directory / name[:2] / name

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, salt=salt, info=b"cloister/blob/v1").derive(self._key))


def sealed_bytes(size_bytes: int) -> int:
    """How long the file of a blob with so much content is."""
    segments = max(1, -(-size_bytes // _SEGMENT_BYTES))
    return len(_MAGIC) + _SALT_BYTES + size_bytes + segments * _TAG_BYTES


class BlobWriter:
    """Encrypts what it is given into a draft file; `commit` gives it its name, `discard` removes it."""

    def __init__(self, store: BlobStore, limit_bytes: int) -> None:
        self._store = store
        self._limit_bytes = limit_bytes
        self._digest = hashlib.sha256()
        self._size = 0
        self._position = 0
        self._pending = bytearray()
        salt = secrets.token_bytes(_SALT_BYTES)
        self._header = _MAGIC + salt
        self._cipher = store._cipher(salt)  # noqa: SLF001 - writer and store are one thing in two classes
        drafts = store.directory / "drafts"
        drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._draft = drafts / f"{secrets.token_hex(16)}.part"
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._file.write(self._header)

    def write(self, piece: bytes) -> None:
        """Take the next piece. Raises `DocumentRejected` once the limit is passed, `Unavailable` where the disk is full."""
        self._size += len(piece)
        if self._size > self._limit_bytes:
            raise DocumentRejected(
                f"The file is larger than the {self._limit_bytes // 1_000_000} MB allowed here.",
                code="document.too_large",
                limit_bytes=self._limit_bytes,
            )
        self._digest.update(piece)
        self._pending += piece
        with _room_wanted():
            # the last segment carries the end mark, so one full segment always waits
            while len(self._pending) > _SEGMENT_BYTES:
                self._seal(bytes(self._pending[:_SEGMENT_BYTES]), last=False)
                del self._pending[:_SEGMENT_BYTES]

    def finish(self) -> None:
        """All of it is on disk, still without its name. Raises `Unavailable` where the disk is full."""
        with _room_wanted():
            self._seal(bytes(self._pending), last=True)
            self._file.close()
            sync(self._draft)

    def commit(self) -> StoredBlob:
        """Finish the file, unless that is done, and move it to its place. Raises `Unavailable` where the disk is full."""
        if not self._file.closed:
            self.finish()
        with _room_wanted():
            sha256 = self._digest.hexdigest()
            name = self._store.content_name(sha256)
            path = self._store.path(name)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            settle(self._draft, path)
            sync(self._store.directory)  # where the directory of `path` may be new
        return StoredBlob(name, self._size, sha256)

    def discard(self) -> None:
        """Forget everything written so far."""
        # closing writes what is still buffered, which a full disk refuses: the draft must go all the more
        with suppress(OSError):
            self._file.close()
        self._draft.unlink(missing_ok=True)

    def _seal(self, plain: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._position, last=last), plain, self._header))
        self._position += 1


@contextmanager
def _room_wanted() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Unavailable(
            "The disk of the box is full. Nothing was stored; tell your administrator.", code="disk.full"
        ) from error


def _nonce(position: int, *, last: bool) -> bytes:
    return position.to_bytes(11, "big") + (b"\x01" if last else b"\x00")

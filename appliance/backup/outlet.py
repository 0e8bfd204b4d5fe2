"""A file that appears under its name when it is complete, and never before.

Where the file system can, it is written without any name (O_TMPFILE, open(2)): whoever is killed leaves nothing. Elsewhere, on
sticks and shares, it is written beside its place under a name of its own, which the next try removes.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from appliance.errors import Conflict, SetupError, Unavailable
from appliance.storage.durable import sync

_CANNOT_UNNAMED = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}
_CANNOT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class Outlet:
    """A file in the making; `sha256` and `size_bytes` are of what was written to it so far."""

    def __init__(self, file: FileIO, target: Path, draft: Path | None) -> None:
        self._file = file
        self._target = target
        self._draft = draft
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        """Raises `Unavailable` (`disk.full`)."""
        with file_errors(self._target):
            rest = memoryview(piece)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._digest.update(piece)
        self.size_bytes += len(piece)

    def finish(self) -> None:
        """All of it is on disk, still without its name."""
        with file_errors(self._target):
            os.fsync(self._file.fileno())

    def place(self) -> None:
        """Give the finished file its name. Raises `Conflict` (`backup.exists`) where somebody else took it."""
        with file_errors(self._target):
            if self._draft is None:
                anywhere = os.open("/", os.O_PATH)  # with a directory at hand, Python follows the link in /proc
                try:
                    os.link(f"/proc/self/fd/{self._file.fileno()}", self._target, src_dir_fd=anywhere, follow_symlinks=True)
                finally:
                    os.close(anywhere)
            else:
                _move(self._draft, self._target)
            sync(self._target.parent)


@contextmanager
def outlet(target: Path) -> Iterator[Outlet]:
    """A new file, mode 0600; without `place` nothing is left of it.

    Raises `Conflict` (`backup.exists`), `SetupError` (`backup.unwritable`), `Unavailable` (`disk.full`).
    """
    if target.is_symlink() or target.exists():
        raise _exists(target)
    with file_errors(target):
        file, draft = _opened(target)
    try:
        with file:
            yield Outlet(file, target, draft)
    finally:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _opened(target: Path) -> tuple[FileIO, Path | None]:
    # unbuffered: what a full disk refuses must not be tried again when the file is closed
    try:
        return FileIO(os.open(target.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb"), None
    except OSError as error:
        if error.errno not in _CANNOT_UNNAMED:
            raise
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    return FileIO(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"), draft


def _move(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        if target.exists():  # FAT knows no links, and no way to ask for both at once
            raise _exists(target) from None
        draft.rename(target)


@contextmanager
def file_errors(place: Path) -> Iterator[None]:
    """What a file system refuses, as a sentence."""
    try:
        yield
    except FileExistsError:
        raise _exists(place) from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Unavailable(f"The disk is full; nothing was left at {place}.", code="disk.full") from error
        if error.errno == errno.EFBIG:
            raise Unavailable(f"{place} may not grow so large on that disk; nothing was left.", code="disk.full") from error
        raise SetupError(f"{place} cannot be written: {error.strerror or error}.", code="backup.unwritable") from error


def _exists(target: Path) -> Conflict:
    return Conflict(f"{target} is there already; nothing was changed.", code="backup.exists")

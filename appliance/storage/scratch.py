"""Directories for a while: they go with whoever made them, and what a crash leaves is known by nobody holding it any more."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A new directory for ourselves, held by a lock of the kernel, which ends with us however we end. Raises `OSError`."""
    with ExitStack() as stack:
        yield _made(parent, prefix, stack)


def _made(parent: Path, prefix: str, stack: ExitStack) -> Path:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            stack.enter_context(held(directory))
        except (BlockingIOError, FileNotFoundError):  # swept before we held it
            continue
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        if directory.exists():
            return directory


def leftovers(parent: Path, prefix: str) -> list[Path]:
    """All that begin so, held or not."""
    return sorted(parent.glob(f"{prefix}*"))


def sweep_scratch(parent: Path, prefix: str) -> None:
    """Remove those that nobody holds."""
    for directory in leftovers(parent, prefix):
        try:
            with held(directory):
                shutil.rmtree(directory, ignore_errors=True)
        except (BlockingIOError, NotADirectoryError, FileNotFoundError, PermissionError):  # somebody's, or nothing of ours
            continue


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Raises `BlockingIOError` where it is somebody's, `OSError` where it is no directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

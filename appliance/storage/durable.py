"""Files that survive a loss of power: content before name, and the name before anybody relies on it."""

from __future__ import annotations

import os
from pathlib import Path


def settle(draft: Path, target: Path) -> None:
    """Give a finished, closed file its final name; after a crash at any moment the old `target` is there or the new one."""
    sync(draft)
    draft.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

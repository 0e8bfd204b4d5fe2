"""SHA-256 of files, in hexadecimal."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

Watch = Callable[[int, int], None]
"""Told of long work: bytes done, bytes in all."""

_PIECE_BYTES = 4 * 1024 * 1024


def digest_of(path: Path, watch: Watch | None = None) -> str:
    """`watch` is told how far it is."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            done += len(piece)
            if watch is not None:
                watch(done, total)
    return digest.hexdigest()

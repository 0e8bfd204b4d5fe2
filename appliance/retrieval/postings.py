"""Posting lists that were read before: questions share their common words, and those have the longest lists."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Key: TypeAlias = tuple[int, int, str]
"""A collection, its generation, and a term: what was true of it then is true of it for ever."""

Entries: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Rows of the full-text table in ascending order: chunk ids with their steps, in the narrowest type that holds them."""

STEP_BITS = 2
"""Of an entry; the rest is the chunk's id."""

_LIMIT_BYTES = 32_000_000


def entries_of(listed: str) -> Entries:
    """Row numbers as SQLite lists them, separated by commas."""
    rows = np.fromstring(listed, np.uint64, sep=",")
    return rows.astype(np.min_scalar_type(rows[-1])) if rows.size else rows


class PostingCache:
    """The lists used last, up to 32 MB; threads may share it."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[Key, Entries] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, keys: Sequence[Key]) -> dict[Key, Entries]:
        """Those of `keys` that are held."""
        with self._lock:
            found = {key: self._held[key] for key in keys if key in self._held}
            for key in found:
                self._held.move_to_end(key)
            return found

    def put(self, key: Key, entries: Entries) -> None:
        """Hold a list; those not used for longest make room."""
        with self._lock:
            if key not in self._held:
                self._held[key] = entries
                self._bytes += entries.nbytes
            while self._bytes > self._limit_bytes:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes

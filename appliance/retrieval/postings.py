"""Posting lists that were read before: questions share their common words, and those have the longest lists."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Key: TypeAlias = tuple[tuple[tuple[int, int], ...], str]
"""Collections with their generations, and an expression: what was true of them then is true of them for ever."""

_LIMIT_BYTES = 32_000_000


class PostingCache:
    """The lists used last, up to 32 MB; threads may share it."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[Key, NDArray[np.int64]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, keys: Sequence[Key]) -> dict[Key, NDArray[np.int64]]:
        """Those of `keys` that are held."""
        with self._lock:
            found = {key: self._held[key] for key in keys if key in self._held}
            for key in found:
                self._held.move_to_end(key)
            return found

    def put(self, key: Key, entries: NDArray[np.int64]) -> None:
        """Hold a list; those not used for longest make room."""
        with self._lock:
            if key not in self._held:
                self._held[key] = entries
                self._bytes += entries.nbytes
            while self._bytes > self._limit_bytes:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes

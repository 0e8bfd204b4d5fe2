"""Ends an HTTP exchange from another thread, also while nothing has come back yet.

A thread that waits for bytes notices neither a stop nor a deadline, and closing a socket does not wake it; shutting the socket
down does. httpx shows the socket only through its trace extension, which is why one of those stands here.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

_LOOK_S = 0.02
_CONNECTED = {"connection.connect_tcp.complete", "connection.connect_unix_socket.complete", "connection.start_tls.complete"}


class Flag(Protocol):
    """What a caller sets to end an exchange: a `threading.Event`, or something else that can be looked at."""

    def is_set(self) -> bool:
        """Whether it should end."""


class Interruption:
    """What may end one exchange early. `cancelled` belongs to the caller; `deadline_s` counts from the making of this."""

    def __init__(self, cancelled: Flag | None = None, deadline_s: float | None = None) -> None:
        self._cancelled = cancelled
        self._ends = None if deadline_s is None else time.monotonic() + deadline_s
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def due(self) -> bool:
        """Whether the exchange should have ended."""
        return (self._cancelled is not None and self._cancelled.is_set()) or (
            self._ends is not None and time.monotonic() >= self._ends
        )

    @property
    def extensions(self) -> dict[str, Any]:
        """What a request of httpx needs to be interrupted by this. One request, one connection."""
        return {"trace": self._trace}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the block is left; once `due`, reading inside it fails with an error of httpx, or ends."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_LOOK_S):
                if self.due:
                    self._cut()
                    return

        watcher = threading.Thread(target=watch, name="exchange-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in _CONNECTED:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self.due:
                self._cut()

    def _cut(self) -> None:
        with self._lock, contextlib.suppress(OSError):  # it may have ended by itself
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

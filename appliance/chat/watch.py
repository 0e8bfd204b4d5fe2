"""Keeps a claim alive and carries the wish to stop to the model, beside the thread that writes the answer."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from appliance.chat.claims import Claim, renew, stop_requested
from appliance.errors import Unavailable
from appliance.storage.database import Database
from appliance.storage.leases import LEASE_MS, RENEWALS

_POLL_S = 0.15
_RENEW_S = LEASE_MS / RENEWALS / 1_000


class Watched(Protocol):
    """Where the wish to stop arrives."""

    @property
    def cancelled(self) -> threading.Event: ...


class ClaimWatch:
    """While open, renews the lease and polls for stop. `cancelled` is what the runtime looks at."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self.cancelled = threading.Event()
        self.lost = False
        self._database = database
        self._claim = claim
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"claim-{claim.message_id[:8]}", daemon=True)

    def __enter__(self) -> Self:
        if self._claim.stop_requested:
            self.cancelled.set()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(_POLL_S):
            try:
                if not self.cancelled.is_set():
                    with self._database.read() as connection:
                        if stop_requested(connection, self._claim):
                            self.cancelled.set()
                if time.monotonic() - renewed > _RENEW_S:
                    with self._database.write() as connection:
                        self.lost = not renew(connection, self._claim)
                    renewed = time.monotonic()
            except (SQLAlchemyError, Unavailable) as error:
                # a busy database now is no reason to end the watch; the next round tries again
                structlog.get_logger().warning("claim_watch_failed", error=type(error).__name__)
            if self.lost:
                self.cancelled.set()
                return

"""Keeps the claim to a run alive and carries the wish to stop to the model, beside the thread that asks."""

from __future__ import annotations

import threading
import time
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from appliance.administration.golden import runs
from appliance.administration.golden.models import Run
from appliance.errors import Unavailable
from appliance.storage.database import Database
from appliance.storage.leases import LEASE_MS, RENEWALS

_POLL_S = 0.5
_RENEW_S = LEASE_MS / RENEWALS / 1_000


class RunWatch:
    """While open, renews the lease and looks whether to stop: because somebody asked, or because the process ends."""

    def __init__(self, database: Database, run: Run, worker_id: str, stopping: threading.Event) -> None:
        self.stopped = self.lost = False
        self._ended = threading.Event()
        self._asking = threading.Event()
        self._database = database
        self._run = run
        self._worker_id = worker_id
        self._stopping = stopping
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"golden-{run.id[:8]}", daemon=True)

    def ended(self) -> bool:
        """Whether no further question is to be asked."""
        return self._ended.is_set() or self._stopping.is_set()

    def wait(self, seconds: float) -> None:
        """Until then, or until no further question is to be asked."""
        self._ended.wait(seconds)

    def asking(self) -> threading.Event:
        """The wish to stop for one more question; a new one each time, since an answer that has said enough sets its own."""
        self._asking = threading.Event()
        if self.ended():
            self._asking.set()
        return self._asking

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(_POLL_S):
            try:
                with self._database.read() as connection:
                    self.stopped = runs.stop_wanted(connection, self._run)
                if time.monotonic() - renewed > _RENEW_S:
                    with self._database.write() as connection:
                        self.lost = not runs.renew(connection, self._run, self._worker_id)
                    renewed = time.monotonic()
            except (SQLAlchemyError, Unavailable) as error:
                # a busy database now is no reason to end the watch; the next round tries again
                structlog.get_logger().warning("golden_watch_failed", error=type(error).__name__)
            if self.stopped or self.lost or self._stopping.is_set():
                self._ended.set()
                self._asking.set()
            if self.stopped or self.lost:
                return

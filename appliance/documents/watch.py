"""Keeps a claim alive and shows how far the work is, beside the thread that reads and embeds the document."""

from __future__ import annotations

import threading
import time
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from appliance.documents.claims import Claim, ClaimLost, renew
from appliance.documents.models import DocumentStatus
from appliance.errors import Unavailable
from appliance.storage.database import Database
from appliance.storage.leases import LEASE_MS, RENEWALS

_UPDATE_S = 0.5
_RENEW_S = LEASE_MS / RENEWALS / 1_000


class ClaimWatch:
    """While open, renews the lease; notices, at each step of the work, when the claim is lost."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self._database = database
        self._claim = claim
        self._lost = threading.Event()
        self._over = threading.Event()
        self._updated = 0.0
        self._thread = threading.Thread(target=self._watch, name=f"claim-{claim.document.id[:8]}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def show(self, status: DocumentStatus, stage: str, percent: int, *, always: bool = False) -> None:
        """Write progress to the row, at most twice a second unless `always`. Raises `ClaimLost`."""
        self.ensure_held()
        moment = time.monotonic()
        if always or moment - self._updated >= _UPDATE_S:
            self._updated = moment
            self._renew(status=status, stage=stage, percent=percent)

    def ensure_held(self) -> None:
        """Raise `ClaimLost` if the last renewal found the document gone or another worker's."""
        if self._lost.is_set():
            raise ClaimLost

    def _watch(self) -> None:
        while not self._over.wait(_RENEW_S):
            try:
                self._renew()
            except ClaimLost:
                return
            except (SQLAlchemyError, Unavailable) as error:
                # a busy database now is no reason to let the lease run out; the next round tries again
                structlog.get_logger().warning("claim_watch_failed", error=type(error).__name__)

    def _renew(self, **values: object) -> None:
        with self._database.write() as connection:
            if not renew(connection, self._claim, **values):
                self._lost.set()
                raise ClaimLost

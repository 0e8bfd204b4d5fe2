"""Models that do not compute where they were put, or on less than the box has: said once, in the log and the audit log."""

from __future__ import annotations

import threading

import structlog

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.identity.models import SYSTEM
from appliance.inference.placement import Placement
from appliance.storage.database import Database

log = structlog.get_logger(__name__)


class Placements:
    """What this process has told already; threads may share it."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._told: set[Placement] = set()
        self._lock = threading.Lock()

    def note(self, placement: Placement) -> None:
        """Record it where it differs and was not recorded before."""
        with self._lock:
            if not placement.differs or placement in self._told:
                return
            self._told.add(placement)
        facts: dict[str, str | int] = {
            "runtime": placement.runtime,
            "chosen": placement.chosen,
            "used": placement.used,
            "best": placement.best,
            "reason": str(placement.verdict),
        }
        log.warning("model.misplaced", model=placement.model_id, **facts)
        event = AuditEvent(
            EventName.MODEL_MISPLACED,
            SYSTEM,
            resources=(ResourceRef("model", placement.model_id),),
            outcome=Outcome.FAILURE,
            facts=facts,
        )
        with self._database.write() as connection:
            self._audit.append(connection, event)

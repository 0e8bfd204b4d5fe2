"""Models that could not be loaded, and what answers in their place: said once when it begins and once when it is over."""

from __future__ import annotations

import structlog
from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import ApplianceError
from appliance.identity.models import SYSTEM
from appliance.inference.load_failures import LoadFailures
from appliance.inference.selection.models import Offer
from appliance.inference.store import records
from appliance.storage.database import Database

log = structlog.get_logger(__name__)

NOTHING = "nothing"


class SkippedModels:
    """What routers tell of is remembered for all processes of the box; threads may share it."""

    def __init__(self, database: Database, audit: AuditLog, failures: LoadFailures) -> None:
        self._database = database
        self._audit = audit
        self._failures = failures

    def failed(self, offer: Offer, error: ApplianceError, instead: str) -> None:
        """`instead` is the model that is taken in its place, empty where there is none. Nothing is kept of a deleted version."""
        if not self._failures.note((offer.model_id, offer.runtime), error.stable_code, error.sentence):
            return
        facts: dict[str, str | int] = {"runtime": offer.runtime, "reason": error.stable_code, "instead": instead or NOTHING}
        log.error("model.skipped", model=offer.model_id, **facts)
        with self._database.write() as connection:
            if all(version.id != offer.model_id for version in records.load_versions(connection)):
                self._failures.forget(offer.model_id)
                return
            self._append(connection, EventName.MODEL_SKIPPED, offer, Outcome.FAILURE, facts)

    def loaded(self, offer: Offer) -> None:
        """Where it could not be loaded before."""
        if not self._failures.end((offer.model_id, offer.runtime)):
            return
        log.info("model.recovered", model=offer.model_id, runtime=offer.runtime)
        with self._database.write() as connection:
            self._append(connection, EventName.MODEL_RECOVERED, offer, Outcome.SUCCESS, {"runtime": offer.runtime})

    def _append(
        self, connection: Connection, name: EventName, offer: Offer, outcome: Outcome, facts: dict[str, str | int]
    ) -> None:
        about = (ResourceRef("model", offer.model_id),)
        self._audit.append(connection, AuditEvent(name, SYSTEM, resources=about, outcome=outcome, facts=facts))

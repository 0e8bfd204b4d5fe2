"""Models whose loading ended a process of the box: said in the audit log by the process that comes after it."""

from __future__ import annotations

import structlog

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.identity.models import SYSTEM
from appliance.inference.load_marks import LoadMarks
from appliance.inference.store import ModelStore
from appliance.storage.database import Database

log = structlog.get_logger(__name__)


def record_crashed_loads(worker: str, marks: LoadMarks, *, database: Database, audit: AuditLog, models: ModelStore) -> None:
    """For a worker that starts, before it loads anything: what the one before it crashed in."""
    died = marks.settle(worker)
    versions = models.versions() if died else []
    for load, times in died.items():
        about = [version.id for version in versions if version.sha256 == load.sha256]
        log.error("load.crashed", models=about, runtime=load.runtime, times=times)
        facts: dict[str, str | int] = {"runtime": load.runtime, "sha256": load.sha256, "times": times}
        resources = tuple(ResourceRef("model", version_id) for version_id in about)
        with database.write() as connection:
            event = AuditEvent(EventName.MODEL_CRASHED, SYSTEM, resources=resources, outcome=Outcome.FAILURE, facts=facts)
            audit.append(connection, event)

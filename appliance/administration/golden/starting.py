"""Runs of golden sets from the wish to their rows: by hand, before a version answers, by schedule.

Who calls has asked for the rights.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from appliance.administration.golden import runs, store
from appliance.administration.golden.gate import GoldenGate
from appliance.administration.golden.models import Cause, GoldenSet, Run
from appliance.administration.golden.records import golden_event
from appliance.administration.golden.schedule import next_due_ms
from appliance.audit.events import EventName
from appliance.audit.log import AuditLog
from appliance.errors import Conflict
from appliance.identity.models import Principal
from appliance.identity.store import load_principal
from appliance.inference.store import records
from appliance.inference.store.versions import VersionState
from appliance.storage.clock import now_ms


def begin(
    connection: Connection,
    audit: AuditLog,
    principal: Principal,
    about: GoldenSet,
    cause: Cause,
    *,
    version_id: str = "",
    activates: bool = False,
) -> Run:
    """A run that waits for a worker. Raises `Conflict` (`golden.empty`)."""
    total = store.count_questions(connection).get(about.id, 0)
    if not total:
        raise Conflict(f"The golden set {about.name} holds no question yet.", code="golden.empty")
    run = runs.insert_run(connection, about.id, principal.id, cause, total, version_id=version_id, activates=activates)
    facts: dict[str, str | int] = {"cause": cause.value, "questions": total}
    facts |= {"version": version_id, "activates": int(activates)} if version_id else {}
    audit.append(connection, golden_event(EventName.GOLDEN_STARTED, principal, about, run, facts=facts))
    return run


def begin_examination(
    connection: Connection,
    audit: AuditLog,
    gate: GoldenGate,
    principal: Principal,
    version_id: str,
    *,
    readable: Collection[str],
    activates: bool,
) -> list[Run]:
    """The runs that `gate` needs and that are not in the works. Raises `NotFound`, `Conflict` (`golden.out_of_reach`)."""
    version = records.load_version(connection, version_id)
    if version.state is VersionState.ACTIVE:
        return []
    begun = []
    for needed in gate.needed(connection, version):
        if needed.set.collection_id not in readable:
            raise Conflict(
                "A golden set that must be asked first is about a collection that you may not read. "
                "Ask an administrator who may.",
                code="golden.out_of_reach",
            )
        in_work = {run.version_id for run in runs.runs_in_work(connection, needed.set.id)}
        if needed.baseline and "" not in in_work:
            begun.append(begin(connection, audit, principal, needed.set, Cause.ACTIVATION))
        if needed.version and version_id not in in_work:
            begun.append(
                begin(connection, audit, principal, needed.set, Cause.ACTIVATION, version_id=version_id, activates=activates)
            )
    return begun


def begin_due(connection: Connection, audit: AuditLog) -> int:
    """The runs whose time has come, for the administrators who set them up; how many."""
    begun = 0
    moment = now_ms()
    for found in store.due_sets(connection, moment):
        due = next_due_ms(found.schedule, found.hour, found.weekday, moment)
        store.change_set(connection, found.id, due_ms=due)
        principal = load_principal(connection, found.acts_for)
        questions = store.count_questions(connection).get(found.id, 0)
        if principal is not None and questions and not runs.runs_in_work(connection, found.id):
            begin(connection, audit, principal, found, Cause.SCHEDULE)
            begun += 1
    return begun


def require_language_model(connection: Connection, version_id: str) -> None:
    """Raises `Conflict` (`golden.version`), `NotFound`."""
    if records.load_version(connection, version_id).kind != "language":
        raise Conflict("Golden sets are asked with language models.", code="golden.version")

"""Runs of golden sets as rows and as jobs: whoever works on one holds a lease, as with answers and documents."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from appliance.administration.golden.models import Cause, Question, QuestionOutcome, Run, RunStatus
from appliance.storage.clock import now_ms
from appliance.storage.leases import LEASE_MS
from appliance.storage.tables import golden_outcomes, golden_runs

_IN_WORK = (RunStatus.PENDING, RunStatus.RUNNING)


def insert_run(
    connection: Connection, set_id: str, acts_for: str, cause: Cause, total: int, *, version_id: str = "", activates: bool = False
) -> Run:
    """A PENDING run, later than every other: runs are worked on in the order in which they were begun."""
    run_id = secrets.token_hex(16)
    latest = connection.execute(select(func.max(golden_runs.c.created_ms))).scalar() or 0
    connection.execute(
        insert(golden_runs).values(
            id=run_id,
            set_id=set_id,
            cause=cause,
            acts_for=acts_for,
            version_id=version_id,
            activates=activates,
            status=RunStatus.PENDING,
            created_ms=max(now_ms(), latest + 1),
            total=total,
        )
    )
    return require_run(connection, run_id)


def load_run(connection: Connection, run_id: str) -> Run | None:
    row = connection.execute(select(golden_runs).where(golden_runs.c.id == run_id)).one_or_none()
    return None if row is None else _run(row)


def require_run(connection: Connection, run_id: str) -> Run:
    run = load_run(connection, run_id)
    assert run is not None
    return run


def load_runs(connection: Connection, set_id: str, limit: int) -> list[Run]:
    """The latest, newest first."""
    statement = select(golden_runs).where(golden_runs.c.set_id == set_id)
    ordered = statement.order_by(golden_runs.c.created_ms.desc(), golden_runs.c.id.desc()).limit(limit)
    return [_run(row) for row in connection.execute(ordered)]


def runs_in_work(connection: Connection, set_id: str | None = None) -> list[Run]:
    """PENDING and RUNNING ones, oldest first."""
    statement = select(golden_runs).where(golden_runs.c.status.in_(_IN_WORK))
    if set_id is not None:
        statement = statement.where(golden_runs.c.set_id == set_id)
    return [_run(row) for row in connection.execute(statement.order_by(golden_runs.c.created_ms, golden_runs.c.id))]


def baseline_of(connection: Connection, set_id: str) -> Run | None:
    """The run that was accepted last."""
    statement = select(golden_runs).where(golden_runs.c.set_id == set_id, golden_runs.c.accepted_ms.is_not(None))
    row = connection.execute(
        statement.order_by(golden_runs.c.accepted_ms.desc(), golden_runs.c.created_ms.desc()).limit(1)
    ).first()
    return None if row is None else _run(row)


def latest_with(connection: Connection, set_id: str, version_id: str, since_ms: int) -> Run | None:
    """The newest finished run of the set with this version that began its life after `since_ms`."""
    wanted = (
        golden_runs.c.set_id == set_id,
        golden_runs.c.version_id == version_id,
        golden_runs.c.created_ms >= since_ms,
        golden_runs.c.status.in_((RunStatus.DONE, RunStatus.FAILED)),
    )
    row = connection.execute(select(golden_runs).where(*wanted).order_by(golden_runs.c.created_ms.desc()).limit(1)).first()
    return None if row is None else _run(row)


def accept(connection: Connection, run_id: str) -> None:
    """Later runs of the set are compared with this one."""
    connection.execute(update(golden_runs).where(golden_runs.c.id == run_id).values(accepted_ms=now_ms()))


def outcomes_of(connection: Connection, run_id: str) -> list[QuestionOutcome]:
    """In the order of the questions."""
    statement = select(golden_outcomes).where(golden_outcomes.c.run_id == run_id).order_by(golden_outcomes.c.ordinal)
    return [_outcome(row) for row in connection.execute(statement)]


def pending_ids(connection: Connection) -> list[str]:
    """Runs that nobody works on, oldest first."""
    statement = select(golden_runs.c.id).where(_unowned()).order_by(golden_runs.c.created_ms, golden_runs.c.id)
    return list(connection.execute(statement).scalars())


def claim(connection: Connection, worker_id: str, run_id: str | None = None) -> Run | None:
    """Take the oldest run that nobody works on, or `run_id`; None where there is none, or another one is in the works.

    One at a time: two would load two models. Who names a run has it beside others.
    """
    held = (golden_runs.c.status == RunStatus.RUNNING, golden_runs.c.lease_until_ms >= now_ms())
    if run_id is None and connection.execute(select(golden_runs.c.id).where(*held).limit(1)).first():
        return None
    statement = select(golden_runs).where(_unowned()).order_by(golden_runs.c.created_ms, golden_runs.c.id)
    if run_id is not None:
        statement = statement.where(golden_runs.c.id == run_id)
    row = connection.execute(statement.limit(1)).first()
    if row is None:
        return None
    values = {
        "status": RunStatus.RUNNING,
        "claimed_by": worker_id,
        "attempts": row.attempts + 1,
        "lease_until_ms": now_ms() + LEASE_MS,
        "started_ms": row.started_ms or now_ms(),
    }
    connection.execute(update(golden_runs).where(golden_runs.c.id == row.id).values(**values))
    return require_run(connection, row.id)


def resume(connection: Connection, run: Run, worker_id: str, questions: Sequence[Question], digest: str) -> list[QuestionOutcome]:
    """What an earlier worker asked of these questions, as they are, under these conditions; all else of the run is dropped.

    Keeps the conditions with the run. Nothing is changed, and nothing found, when the claim is lost.
    """
    unchanged = {item.id: item.expected.sha256 for item in questions}
    earlier = outcomes_of(connection, run.id) if run.conditions_sha256 == digest else []
    kept = [item for item in earlier if unchanged.get(item.question_id) == item.question_sha256]
    changed = update(golden_runs).where(_owned(run, worker_id)).values(conditions_sha256=digest, done=len(kept))
    if connection.execute(changed).rowcount != 1:
        return []
    gone = golden_outcomes.c.question_id.not_in([item.question_id for item in kept])
    connection.execute(delete(golden_outcomes).where(golden_outcomes.c.run_id == run.id, gone))
    return kept


def renew(connection: Connection, run: Run, worker_id: str) -> bool:
    """Move the end of the lease; False when the claim is lost."""
    changed = update(golden_runs).where(_owned(run, worker_id))
    return connection.execute(changed.values(lease_until_ms=now_ms() + LEASE_MS)).rowcount == 1


def store_outcome(connection: Connection, run: Run, worker_id: str, outcome: QuestionOutcome, done: int) -> bool:
    """Keep what came of one question; False, keeping nothing, when the claim is lost."""
    changed = update(golden_runs).where(_owned(run, worker_id))
    if connection.execute(changed.values(done=done, lease_until_ms=now_ms() + LEASE_MS)).rowcount != 1:
        return False
    kept = ("question_id", "ordinal", "question_sha256", "right")
    body = {name: value for name, value in asdict(outcome).items() if name not in kept}
    row = {name: getattr(outcome, name) for name in kept}
    connection.execute(insert(golden_outcomes).values(run_id=run.id, body=json.dumps(body, ensure_ascii=False), **row))
    return True


def finish(connection: Connection, run: Run, worker_id: str, status: RunStatus, **columns: Any) -> bool:
    """Store the end of the run; False, changing nothing, when the claim is lost."""
    texts = {name: json.dumps(value) for name, value in columns.items() if isinstance(value, Mapping)}
    values = {"finished_ms": now_ms(), "lease_until_ms": 0, **columns, **texts, "status": status}
    return connection.execute(update(golden_runs).where(_owned(run, worker_id)).values(**values)).rowcount == 1


def let_go(connection: Connection, run: Run, worker_id: str) -> None:
    """Free a run whose worker was told to end; the try does not count."""
    freed = {"status": RunStatus.PENDING, "lease_until_ms": 0, "attempts": run.attempts - 1}
    connection.execute(update(golden_runs).where(_owned(run, worker_id)).values(**freed))


def stop_wanted(connection: Connection, run: Run) -> bool:
    """Whether an administrator asked for the end, or took the whole set away."""
    found = connection.execute(select(golden_runs.c.stop_requested).where(golden_runs.c.id == run.id)).scalar()
    return True if found is None else bool(found)


def request_stop(connection: Connection, run_id: str) -> None:
    """Ask whoever works on it to stop; what nobody works on ends at once."""
    connection.execute(update(golden_runs).where(golden_runs.c.id == run_id).values(stop_requested=True))
    ended = {"status": RunStatus.STOPPED, "finished_ms": now_ms()}
    connection.execute(update(golden_runs).where(golden_runs.c.id == run_id, _unowned()).values(**ended))


def note(connection: Connection, run: Run, worker_id: str, code: str, sentence: str) -> None:
    """Why what was to follow the run that this worker ended did not."""
    ended = (golden_runs.c.status == RunStatus.DONE, _claimed(run, worker_id))
    connection.execute(update(golden_runs).where(*ended).values(reason_code=code, reason=sentence[:500]))


def _unowned() -> ColumnElement[bool]:
    left = and_(golden_runs.c.status == RunStatus.RUNNING, golden_runs.c.lease_until_ms < now_ms())
    return or_(golden_runs.c.status == RunStatus.PENDING, left)


def _owned(run: Run, worker_id: str) -> ColumnElement[bool]:
    return and_(golden_runs.c.status == RunStatus.RUNNING, _claimed(run, worker_id))


def _claimed(run: Run, worker_id: str) -> ColumnElement[bool]:
    """The last one to have claimed it: ended runs keep that."""
    return and_(golden_runs.c.id == run.id, golden_runs.c.claimed_by == worker_id, golden_runs.c.attempts == run.attempts)


def _run(row: Row[Any]) -> Run:
    values = {item.name: getattr(row, item.name) for item in fields(Run)}
    values |= {"cause": Cause(row.cause), "status": RunStatus(row.status)}
    return Run(**values | {name: json.loads(values[name]) for name in ("figures", "conditions")})


def _outcome(row: Row[Any]) -> QuestionOutcome:
    return QuestionOutcome(
        question_id=row.question_id,
        ordinal=row.ordinal,
        question_sha256=row.question_sha256,
        right=row.right,
        **json.loads(row.body),
    )

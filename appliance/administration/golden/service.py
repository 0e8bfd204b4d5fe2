"""What administrators do with golden sets. Each needs the right to the act and the right to read the set's collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from appliance.administration.golden import runs, store
from appliance.administration.golden.checking import checked
from appliance.administration.golden.gate import GoldenGate
from appliance.administration.golden.margin import compare_runs
from appliance.administration.golden.models import (
    Cause,
    Detail,
    Expected,
    GoldenSet,
    Overview,
    Question,
    Result,
    Run,
    RunStatus,
    Schedule,
)
from appliance.administration.golden.records import golden_event
from appliance.administration.golden.schedule import next_due_ms
from appliance.administration.golden.starting import begin, begin_due, begin_examination, require_language_model
from appliance.audit.events import EventName
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.identity.store import clean_name
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.policy.store import require_collection
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

_RUNS_SHOWN = 20


class GoldenSets:
    """Sets, questions and runs. A question and its answer are as confidential as the collection they are about."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, gate: GoldenGate) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self.gate = gate

    def sets(self, principal: Principal) -> list[Overview]:
        """The sets of the collections that `principal` may read."""
        self._access.require(principal, Action.GOLDEN_READ, APPLIANCE)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.write() as connection:
            counts = store.count_questions(connection)
            found = [_overview(connection, item, counts) for item in store.load_sets(connection, readable)]
            self._record(connection, EventName.GOLDEN_READ, principal, facts={"sets": len(found)})
        return found

    def detail(self, principal: Principal, set_id: str) -> Detail:
        """One set with its questions and latest runs. Raises `NotFound`."""
        self._authorised(principal, Action.GOLDEN_READ, set_id)
        with self._database.write() as connection:
            found = _present(connection, set_id)
            questions = store.load_questions(connection, set_id)
            latest = runs.load_runs(connection, set_id, _RUNS_SHOWN)
            names = store.document_names(connection, found.collection_id)
            self._record(connection, EventName.GOLDEN_READ, principal, found, facts={"questions": len(questions)})
            return Detail(_overview(connection, found, {set_id: len(questions)}), questions, latest, names)

    def result(self, principal: Principal, run_id: str) -> Result:
        """One run, compared with the run it was compared with when it ended. Raises `NotFound`."""
        run = self._authorised_run(principal, Action.GOLDEN_READ, run_id)
        with self._database.write() as connection:
            outcomes = runs.outcomes_of(connection, run_id)
            baseline = runs.load_run(connection, run.baseline_id) if run.baseline_id else None
            before = runs.outcomes_of(connection, baseline.id) if baseline else []
            about = _present(connection, run.set_id)
            self._record(connection, EventName.GOLDEN_READ, principal, about, run, facts={"outcomes": len(outcomes)})
        comparison = compare_runs(before, outcomes, self.gate.margin) if baseline else None
        return Result(run, outcomes, baseline, {item.question_id: item for item in before}, comparison)

    def progress(self, principal: Principal) -> list[Run]:
        """The runs that wait or are in the works. Numbers only, so that nothing is recorded: it is asked every second."""
        self._access.require(principal, Action.GOLDEN_READ, APPLIANCE)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.read() as connection:
            own = {item.id for item in store.load_sets(connection, readable)}
            return [run for run in runs.runs_in_work(connection) if run.set_id in own]

    def create(self, principal: Principal, collection_id: str, name: str) -> GoldenSet:
        """An empty set. Raises `NotFound` for a collection out of reach, `Conflict` (`golden.name_taken`)."""
        self._access.require(principal, Action.GOLDEN_UPDATE, APPLIANCE)
        self._access.require_collection(principal, Action.DOCUMENT_READ, collection_id)
        cleaned = clean_name(name, code="golden.name")
        try:
            with self._database.write() as connection:
                require_collection(connection, collection_id)
                made = store.insert_set(connection, collection_id, cleaned, principal.id)
                self._record(connection, EventName.GOLDEN_CREATED, principal, made)
        except IntegrityError:
            raise _name_taken(cleaned) from None
        return made

    def change(
        self,
        principal: Principal,
        set_id: str,
        *,
        name: str | None = None,
        required: bool | None = None,
        schedule: Schedule | None = None,
        hour: int | None = None,
        weekday: int | None = None,
    ) -> None:
        """What is None stays. Who changes the schedule is the one for whom scheduled runs search from then on."""
        before = self._authorised(principal, Action.GOLDEN_UPDATE, set_id)
        columns: dict[str, str | int | bool | None] = {}
        facts: dict[str, str | int] = {}  # names are told nowhere, and who acts stands in the event anyway
        if name is not None:
            columns["name"] = clean_name(name, code="golden.name")
            facts["renamed"] = 1
        if required is not None:
            columns["required"] = required
            facts["required"] = int(required)
        if not (schedule is None and hour is None and weekday is None):
            chosen = schedule or before.schedule
            at, day = before.hour if hour is None else hour, before.weekday if weekday is None else weekday
            if not 0 <= at <= 23 or not 0 <= day <= 6:
                raise InvalidInput("An hour is 0 to 23, a day of the week 0 (Monday) to 6.", code="golden.schedule")
            due = next_due_ms(chosen, at, day, now_ms())
            columns |= {"schedule": chosen.value, "hour": at, "weekday": day, "due_ms": due, "acts_for": principal.id}
            facts |= {"schedule": chosen.value, "hour": at, "weekday": day}
        try:
            with self._database.write() as connection:
                if columns:
                    store.change_set(connection, set_id, **columns)
                self._record(connection, EventName.GOLDEN_UPDATED, principal, before, facts=facts or {"changed": "nothing"})
        except IntegrityError:
            raise _name_taken(str(columns.get("name"))) from None

    def delete(self, principal: Principal, set_id: str) -> None:
        """The set with its questions and all its runs."""
        found = self._authorised(principal, Action.GOLDEN_UPDATE, set_id)
        with self._database.write() as connection:
            store.delete_set(connection, set_id)
            self._record(connection, EventName.GOLDEN_DELETED, principal, found)

    def add(self, principal: Principal, set_id: str, expected: Sequence[Expected]) -> list[str]:
        """Add questions, all of them or none; their ids. Raises `InvalidInput` (`golden.*`) for the first that cannot be kept."""
        found = self._authorised(principal, Action.GOLDEN_UPDATE, set_id)
        with self._database.write() as connection:
            already = store.count_questions(connection).get(set_id, 0)
            kept = checked(expected, store.document_names(connection, found.collection_id), already)
            ids = store.insert_questions(connection, set_id, kept)
            self._record(connection, EventName.GOLDEN_UPDATED, principal, found, facts={"added": len(ids)})
        return ids

    def change_question(self, principal: Principal, set_id: str, question_id: str, expected: Expected) -> None:
        """Replace one question; it counts as a new one in comparisons. Raises as `add`, and `NotFound`."""
        found = self._authorised(principal, Action.GOLDEN_UPDATE, set_id)
        with self._database.write() as connection:
            kept = checked([expected], store.document_names(connection, found.collection_id))[0]
            store.change_question(connection, set_id, question_id, kept)
            self._record(connection, EventName.GOLDEN_UPDATED, principal, found, facts={"changed": 1})

    def delete_question(self, principal: Principal, set_id: str, question_id: str) -> None:
        """What came of it in earlier runs stays."""
        found = self._authorised(principal, Action.GOLDEN_UPDATE, set_id)
        with self._database.write() as connection:
            store.delete_question(connection, set_id, question_id)
            self._record(connection, EventName.GOLDEN_UPDATED, principal, found, facts={"removed": 1})

    def questions(self, principal: Principal, set_id: str) -> tuple[GoldenSet, list[Question]]:
        """For the export. Raises `NotFound`."""
        found = self._authorised(principal, Action.GOLDEN_READ, set_id)
        with self._database.write() as connection:
            questions = store.load_questions(connection, set_id)
            self._record(connection, EventName.GOLDEN_READ, principal, found, facts={"exported": len(questions)})
        return found, questions

    def documents(self, principal: Principal, set_id: str) -> tuple[str, ...]:
        """The names that a question of this set may expect to be cited. Nothing is recorded: an act that is follows."""
        found = self._authorised(principal, Action.GOLDEN_UPDATE, set_id)
        with self._database.read() as connection:
            return tuple(store.document_names(connection, found.collection_id))

    def start(self, principal: Principal, set_id: str, version_id: str = "") -> Run:
        """A run on behalf of `principal`, with what serves or as if this version did; the caller nudges a worker.

        Raises `Conflict` (`golden.empty`, `golden.running`), `NotFound`.
        """
        found = self._authorised(principal, Action.GOLDEN_RUN, set_id)
        with self._database.write() as connection:
            if version_id:
                require_language_model(connection, version_id)
            if any(run.version_id == version_id for run in runs.runs_in_work(connection, set_id)):
                raise Conflict("This set is being asked already.", code="golden.running")
            return begin(connection, self._audit, principal, found, Cause.MANUAL, version_id=version_id)

    def examine(self, principal: Principal, version_id: str, *, activates: bool) -> list[Run]:
        """Runs of every required set with this version, as far as none speaks for it yet, and of the present one where there is
        nothing to compare with. With `activates` the version is activated once all have ended and none is a regression.

        Raises `Denied`, `NotFound`, and `Conflict` (`golden.out_of_reach`) where `principal` may not read what must be asked.
        """
        self._access.require(principal, Action.GOLDEN_RUN, APPLIANCE)
        if activates:
            self._access.require(principal, Action.MODEL_ACTIVATE, APPLIANCE)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        with self._database.write() as connection:
            return begin_examination(
                connection, self._audit, self.gate, principal, version_id, readable=readable, activates=activates
            )

    def stop(self, principal: Principal, run_id: str) -> None:
        """End a run before its time; what it had found out stays. Raises `Conflict` (`golden.ended`), `NotFound`."""
        self._authorised_run(principal, Action.GOLDEN_RUN, run_id)
        with self._database.write() as connection:
            run = runs.load_run(connection, run_id)
            about = _present(connection, run.set_id if run else "")
            assert run is not None
            if run.status.finished:  # as it is now: it may have ended meanwhile
                raise Conflict("This run has ended already.", code="golden.ended")
            runs.request_stop(connection, run_id)
            self._record(connection, EventName.GOLDEN_STOPPED, principal, about, run)

    def accept(self, principal: Principal, run_id: str) -> None:
        """Let later runs be compared with this one. Raises `Conflict` (`golden.not_comparable`) for what is no whole run."""
        run = self._authorised_run(principal, Action.GOLDEN_UPDATE, run_id)
        if run.status is not RunStatus.DONE:
            raise Conflict("Only a run that asked every question can be compared with.", code="golden.not_comparable")
        with self._database.write() as connection:
            runs.accept(connection, run_id)
            facts = {"worse": run.worse, "better": run.better}
            self._record(connection, EventName.GOLDEN_ACCEPTED, principal, _present(connection, run.set_id), run, facts=facts)

    def start_due(self) -> int:
        """Begin the runs whose time has come, for the administrators who set them up; how many."""
        with self._database.write() as connection:
            return begin_due(connection, self._audit)

    def any_due(self) -> bool:
        """Whether `start_due` would find something: looked at every few seconds, so that no write is begun for nothing."""
        with self._database.read() as connection:
            return bool(store.due_sets(connection, now_ms()))

    def pending_ids(self) -> list[str]:
        """Runs that nobody works on."""
        with self._database.read() as connection:
            return runs.pending_ids(connection)

    def _authorised(self, principal: Principal, action: Action, set_id: str) -> GoldenSet:
        self._access.require(principal, action, APPLIANCE)
        with self._database.read() as connection:
            found = store.load_set(connection, set_id)
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        if found is None or found.collection_id not in readable:
            self._access.require(principal, action, None)  # recorded; the same answer for both
        assert found is not None
        return found

    def _authorised_run(self, principal: Principal, action: Action, run_id: str) -> Run:
        with self._database.read() as connection:
            run = runs.load_run(connection, run_id)
        self._authorised(principal, action, run.set_id if run else "")
        assert run is not None
        return run

    def _record(
        self,
        connection: Connection,
        name: EventName,
        principal: Principal,
        about: GoldenSet | None = None,
        run: Run | None = None,
        *,
        facts: Mapping[str, str | int] | None = None,
    ) -> None:
        self._audit.append(connection, golden_event(name, principal, about, run, facts=facts))


def _overview(connection: Connection, found: GoldenSet, counts: dict[str, int]) -> Overview:
    latest = runs.load_runs(connection, found.id, 1)
    return Overview(found, counts.get(found.id, 0), latest[0] if latest else None, runs.baseline_of(connection, found.id))


def _present(connection: Connection, set_id: str) -> GoldenSet:
    found = store.load_set(connection, set_id)
    if found is None:  # deleted between two looks
        raise NotFound("There is no such thing here.")
    return found


def _name_taken(name: str) -> Conflict:
    return Conflict(f"There is a golden set named {name} for this collection already.", code="golden.name_taken")

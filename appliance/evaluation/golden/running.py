"""A run of a golden set from its row to its result, one question after the other, behind the questions of people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from appliance.administration.golden import runs, store
from appliance.administration.golden.conditions import digest_of
from appliance.administration.golden.margin import compare_runs
from appliance.administration.golden.models import Comparison, GoldenSet, Question, QuestionOutcome, Run, RunStatus
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.bootstrap import Appliance
from appliance.chat.claims import Ending
from appliance.chat.finding import best_answerability
from appliance.chat.models import MessageStatus
from appliance.chat.rehearsal import Rehearsal
from appliance.errors import ApplianceError, Denied, Unavailable
from appliance.evaluation.golden.grading import Found, figures_of, outcome_of
from appliance.evaluation.golden.watch import RunWatch
from appliance.identity.models import SYSTEM, Principal
from appliance.identity.store import load_principal
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.retrieval.models import Hit
from appliance.storage.clock import now_ms
from appliance.storage.tables import messages

Progress = Callable[[str], None]

_TRIES = 2
"""As with answers: a run whose worker died twice is given up, since it may be what kills them."""
_HITS = 10
_OF_THE_ANSWER = frozenset({"answer.withheld", "inference.context_overflow"})
"""Failures that say something of the model and the question. Every other says something of the box, and ends the run."""
_YIELD_S = 600.0
"""For one question a run waits at most this long for people's to end; a box that is never idle would never be asked."""
_LOOK_S = 0.5
_NOBODY = "The administrator for whom this set is asked has no account any more."


@dataclass(frozen=True, slots=True)
class _Task:
    """A run with what it asks and the administrator it asks for."""

    run: Run
    about: GoldenSet
    questions: list[Question]
    principal: Principal


class GoldenRunner:
    """Works on runs that wait. Models are loaded for the time of the work and given back after it."""

    def __init__(self, appliance: Appliance, worker_id: str, *, yield_s: float = _YIELD_S) -> None:
        self._appliance = appliance
        self._worker_id = worker_id
        self._yield_s = yield_s
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End after the question in hand; the run goes on with the next worker."""
        self._stopping.set()

    def run_waiting(self, progress: Progress = lambda _: None) -> int:
        """Work until no run waits, or another worker has one; how many were ended here."""
        ended = 0
        while not self._stopping.is_set():
            with self._appliance.database.write() as connection:
                run = runs.claim(connection, self._worker_id)
            if run is None:
                break
            self.work_on(run, progress)
            ended += 1
        return ended

    def carry(self, run_id: str, progress: Progress = lambda _: None) -> Run:
        """Carry this one run through, beside others; where another worker was faster, wait for it. As it ended."""
        with self._appliance.database.write() as connection:
            claimed = runs.claim(connection, self._worker_id, run_id)
        if claimed is not None:
            return self.work_on(claimed, progress)
        while True:
            with self._appliance.database.read() as connection:
                run = runs.require_run(connection, run_id)
            if run.status.finished:
                return run
            time.sleep(_LOOK_S)

    def work_on(self, run: Run, progress: Progress = lambda _: None) -> Run:
        """Carry a claimed run through; as it ended. What goes wrong with it stands in its row."""
        try:
            with RunWatch(self._appliance.database, run, self._worker_id, self._stopping) as watch:
                self._carry_through(run, watch, progress)
        except ApplianceError as error:
            self._fail(run, error.stable_code, error.sentence)
        except Exception:
            self._fail(run, "golden.internal", "Something went wrong inside the box.")
            raise
        with self._appliance.database.read() as connection:
            return runs.load_run(connection, run.id) or run

    def _carry_through(self, run: Run, watch: RunWatch, progress: Progress) -> None:
        if run.attempts > _TRIES:
            self._fail(run, "golden.crashed", "The box crashed twice while it asked this set.")
            return
        task = self._prepared(run)
        questions = task.questions
        with closing(self._appliance.new_router()) as router:
            rehearsal = self._appliance.rehearsal(router.supposing(run.version_id))
            with self._appliance.database.write() as connection:
                conditions = self._appliance.golden_gate.conditions.of(connection, run.version_id)
                outcomes = runs.resume(connection, run, self._worker_id, questions, digest_of(conditions))
            kept = {item.question_id: item for item in outcomes}
            for question in questions:
                if question.id in kept:  # asked before the worker that began this run ended
                    continue
                self._wait_for_people(watch)
                if watch.ended():
                    break
                task = replace(task, principal=self._acting(run, task.about.collection_id))
                ending, seconds = _rehearsed(rehearsal, task, question, watch.asking())
                if watch.ended():
                    break
                outcome = self._outcome(task, question, ending, seconds)
                with self._appliance.database.write() as connection:
                    if not runs.store_outcome(connection, run, self._worker_id, outcome, len(kept) + 1):
                        return
                kept[question.id] = outcome
                progress(f"Asked {len(kept)} of {len(questions)} questions")
        if self._stopping.is_set() and not watch.stopped and len(kept) < len(questions):
            self._let_go(run)
            return
        outcomes = [kept[question.id] for question in questions if question.id in kept]
        whole = len(outcomes) == len(questions)
        answered_by = {"answered_by": sorted({item.model for item in outcomes} - {""})}
        last = self._end(task, outcomes, conditions | answered_by, digest_of(conditions))
        if last and whole and run.activates:
            self._activate(run, task.principal)

    def _prepared(self, run: Run) -> _Task:
        with self._appliance.database.read() as connection:
            about = store.load_set(connection, run.set_id)
            questions = store.load_questions(connection, run.set_id)
        if about is None:
            raise Denied(_NOBODY, code="golden.denied")
        return _Task(run, about, questions, self._acting(run, about.collection_id))

    def _acting(self, run: Run, collection_id: str) -> Principal:
        """The administrator, asked for again before each question: a run may last longer than their rights."""
        with self._appliance.database.read() as connection:
            principal = load_principal(connection, run.acts_for)
        if principal is None:
            raise Denied(_NOBODY, code="golden.denied")
        self._appliance.access.require(principal, Action.GOLDEN_RUN, APPLIANCE)
        self._appliance.access.require_collection(principal, Action.DOCUMENT_READ, collection_id)
        return principal

    def _outcome(self, task: _Task, question: Question, ending: Ending, seconds: float) -> QuestionOutcome:
        """What came of one question. Raises `Unavailable` where the box failed and not the answer: that is no wrong answer."""
        if ending.status is MessageStatus.FAILED and ending.reason_code not in _OF_THE_ANSWER:
            raise Unavailable(ending.reason or "The model cannot answer.", code=ending.reason_code)
        text, collection_id = question.expected.text, task.about.collection_id

        def search(query: str) -> list[Hit]:
            return self._appliance.search.search(task.principal, query, _HITS, collection_id=collection_id)

        hits, limit = search(text), self._appliance.settings.passages_limit
        score = best_answerability(text, lambda query: (hits if query == text else search(query))[:limit])
        found = Found(hits, score)
        with self._appliance.database.read() as connection:
            return outcome_of(connection, question, ending, found, seconds)

    def _wait_for_people(self, watch: RunWatch) -> None:
        """People's questions come first."""
        limit = time.monotonic() + self._yield_s
        in_work = select(messages.c.id).where(messages.c.status.in_((MessageStatus.PENDING, MessageStatus.ANSWERING))).limit(1)
        while not watch.ended() and time.monotonic() < limit:
            with self._appliance.database.read() as connection:
                if connection.execute(in_work).first() is None:
                    return
            watch.wait(_LOOK_S)

    def _end(self, task: _Task, outcomes: Sequence[QuestionOutcome], conditions: dict[str, object], digest: str) -> bool:
        """Whether the end was stored, and no other run is left after which the same version would be activated.

        Nothing is stored where another worker has the run now.
        """
        run = task.run
        status = RunStatus.DONE if len(outcomes) == len(task.questions) else RunStatus.STOPPED
        expected = {question.id: question.expected for question in task.questions}
        figures = figures_of(
            outcomes, [expected[item.question_id] for item in outcomes], _HITS, self._appliance.silence.threshold
        )
        gate = self._appliance.golden_gate
        with self._appliance.database.write() as connection:
            before = gate.comparable(connection, task.about)
            found = compare_runs(before[1], outcomes, gate.margin) if before else Comparison(0, (), (), 0)
            regressed = status is RunStatus.DONE and found.regressed
            # compared with from now on, unless something was lost, or what is allowed each time would add up, and unless a
            # question got no answer at all; a candidate is only once it serves (`GoldenGate.settle`)
            accepted = status is RunStatus.DONE and not run.version_id and found.lost <= 0
            accepted = accepted and not any(item.failed for item in outcomes)
            ended = runs.finish(
                connection,
                run,
                self._worker_id,
                status,
                figures=figures,
                conditions=conditions,
                conditions_sha256=digest,
                baseline_id=before[0].id if before else None,
                worse=len(found.worse),
                better=len(found.better),
                regressed=regressed,
                accepted_ms=now_ms() if accepted else None,
            )
            if not ended:
                return False
            facts: dict[str, str | int] = {
                "status": status.value,
                "questions": len(outcomes),
                "right": int(figures["right"]),
                "worse": len(found.worse),
                "better": len(found.better),
            }
            self._record(connection, run, Outcome.FAILURE if regressed else Outcome.SUCCESS, facts)
            return not any(other.activates and other.version_id == run.version_id for other in runs.runs_in_work(connection))

    def _fail(self, run: Run, code: str, sentence: str) -> None:
        with self._appliance.database.write() as connection:
            if runs.finish(connection, run, self._worker_id, RunStatus.FAILED, reason_code=code, reason=sentence[:500]):
                self._record(connection, run, Outcome.FAILURE, {"status": RunStatus.FAILED.value, "reason": code})

    def _let_go(self, run: Run) -> None:
        """The process ends: another one goes on where this one stopped, and the try does not count."""
        with self._appliance.database.write() as connection:
            runs.let_go(connection, run, self._worker_id)

    def _activate(self, run: Run, principal: Principal) -> None:
        """Where no set speaks against it; else the reason stands with the run."""
        try:
            self._appliance.model_administration.activate(principal, run.version_id)
        except ApplianceError as error:
            with self._appliance.database.write() as connection:
                runs.note(connection, run, self._worker_id, error.stable_code, error.sentence)

    def _record(self, connection: Connection, run: Run, outcome: Outcome, facts: Mapping[str, str | int]) -> None:
        about: tuple[ResourceRef, ...] = (ResourceRef("golden_set", run.set_id), ResourceRef("golden_run", run.id))
        about += (ResourceRef("model", run.version_id),) if run.version_id else ()
        event = AuditEvent(
            EventName.GOLDEN_FINISHED,
            SYSTEM,
            resources=about,
            outcome=outcome,
            on_behalf_of=load_principal(connection, run.acts_for),
            facts=facts,
        )
        self._appliance.audit.append(connection, event)


def _rehearsed(rehearsal: Rehearsal, task: _Task, question: Question, cancelled: threading.Event) -> tuple[Ending, float]:
    """How the question is answered, and in how many seconds."""
    started = time.perf_counter()
    text, collection_id = question.expected.text, task.about.collection_id
    ending = rehearsal.rehearse(task.principal, text, collection_id, task.run.id, cancelled)
    return ending, time.perf_counter() - started

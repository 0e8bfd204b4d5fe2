"""Golden sets of questions, their runs and what came of them."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.administration.golden.models import Detail, Expected, GoldenSet, Overview, QuestionOutcome, Result, Run, Schedule
from appliance.administration.golden.models import Question as GoldenQuestion
from appliance.administration.golden.places import IndexComparison, Rank


class NewGoldenSet(msgspec.Struct, forbid_unknown_fields=True):
    collection_id: str
    name: str


class GoldenSetChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is None stays as it is; the hour is that of the box's clock, 0 of the days is Monday."""

    name: str | None = None
    required: bool | None = None
    schedule: Schedule | None = None
    hour: int | None = None
    weekday: int | None = None


class QuestionIn(msgspec.Struct, forbid_unknown_fields=True):
    """Either `silent`, or an expected answer, or a document that must be cited, or both of these."""

    text: str
    answers: list[str] = []
    document: str = ""
    page: int | None = None
    silent: bool = False

    def expected(self) -> Expected:
        return Expected(self.text, tuple(self.answers), self.document, self.page, self.silent)


class RunOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The version that is supposed to be active; empty asks what serves."""

    version_id: str = ""


class Override(msgspec.Struct, forbid_unknown_fields=True):
    """Why a version is to be activated although golden sets speak against it, or were not asked."""

    reason: str


class Made(msgspec.Struct):
    id: str


class Added(msgspec.Struct):
    added: int


class RunOut(msgspec.Struct):
    """`regressed`: more got worse than may; `reason` is a sentence where the run failed, or where what was to follow did not."""

    id: str
    set_id: str
    cause: str
    version_id: str
    activates: bool
    status: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    total: int
    done: int
    figures: dict[str, Any]
    conditions: dict[str, Any]
    conditions_sha256: str
    baseline_id: str | None
    worse: int
    better: int
    regressed: bool
    accepted: bool
    reason_code: str | None
    reason: str | None

    @classmethod
    def of(cls, run: Run) -> RunOut:
        values = {name: getattr(run, name) for name in cls.__struct_fields__ if name != "accepted"}
        return cls(**values | {"accepted": run.accepted_ms is not None, "cause": run.cause.value, "status": run.status.value})


class ProgressOut(msgspec.Struct):
    """How far a run is; nothing of what it asks."""

    id: str
    set_id: str
    status: str
    total: int
    done: int

    @classmethod
    def of(cls, run: Run) -> ProgressOut:
        return cls(run.id, run.set_id, run.status.value, run.total, run.done)


class GoldenSetOut(msgspec.Struct):
    id: str
    collection_id: str
    name: str
    required: bool
    schedule: str
    hour: int
    weekday: int
    due_ms: int | None
    questions: int
    latest: RunOut | None
    baseline_id: str | None

    @classmethod
    def of(cls, overview: Overview) -> GoldenSetOut:
        found = overview.set
        return cls(
            found.id,
            found.collection_id,
            found.name,
            found.required,
            found.schedule.value,
            found.hour,
            found.weekday,
            found.due_ms,
            overview.questions,
            RunOut.of(overview.latest) if overview.latest else None,
            overview.baseline.id if overview.baseline else None,
        )


class QuestionOut(msgspec.Struct):
    id: str
    text: str
    answers: list[str]
    document: str
    page: int | None
    silent: bool

    @classmethod
    def of(cls, question: GoldenQuestion) -> QuestionOut:
        expected = question.expected
        return cls(question.id, expected.text, list(expected.answers), expected.document, expected.page, expected.silent)


class GoldenSetDetail(msgspec.Struct):
    """`documents` are the names that a question may expect to be cited."""

    set: GoldenSetOut
    questions: list[QuestionOut]
    runs: list[RunOut]
    documents: list[str]

    @classmethod
    def of(cls, detail: Detail) -> GoldenSetDetail:
        return cls(
            GoldenSetOut.of(detail.overview),
            [QuestionOut.of(question) for question in detail.questions],
            [RunOut.of(run) for run in detail.runs],
            detail.documents,
        )


class OutcomeOut(msgspec.Struct):
    """`before`: whether it was right in the run that this one is compared with, None where that did not ask the same."""

    question_id: str
    text: str
    right: bool
    before: bool | None
    answer: str
    rank: int | None
    abstained: bool
    failed: bool
    seconds: float
    citations: int
    supported: int
    reason: str

    @classmethod
    def of(cls, outcome: QuestionOutcome, before: QuestionOutcome | None) -> OutcomeOut:
        same = before is not None and before.question_sha256 == outcome.question_sha256
        return cls(
            question_id=outcome.question_id,
            text=outcome.text,
            right=outcome.right,
            before=before.right if before is not None and same else None,
            answer=outcome.answer,
            rank=outcome.rank,
            abstained=outcome.abstained,
            failed=outcome.failed,
            seconds=float(outcome.graded["seconds"]),
            citations=int(outcome.graded["citations"]),
            supported=int(outcome.graded["supported"]),
            reason=outcome.reason,
        )


class ResultOut(msgspec.Struct):
    """A run question by question; `allowed` is how many more may be wrong than before."""

    run: RunOut
    baseline: RunOut | None
    compared: int
    allowed: int
    outcomes: list[OutcomeOut]

    @classmethod
    def of(cls, result: Result) -> ResultOut:
        return cls(
            RunOut.of(result.run),
            RunOut.of(result.baseline) if result.baseline else None,
            result.comparison.compared if result.comparison else 0,
            result.comparison.allowed if result.comparison else 0,
            [OutcomeOut.of(item, result.before.get(item.question_id)) for item in result.outcomes],
        )


class RankOut(msgspec.Struct):
    """A question and the place of the first passage that serves, None where there was none."""

    question_id: str
    text: str
    before: int | None
    now: int | None

    @classmethod
    def of(cls, place: Rank) -> RankOut:
        return cls(place.question_id, place.text, place.before, place.now)


class IndexComparisonOut(msgspec.Struct):
    """One set, searched in the index that served and in that of another model."""

    set_id: str
    name: str
    compared: int
    depth: int
    first_before: int
    first: int
    found_before: int
    found: int
    stands_against: bool
    reason: str
    worse: list[RankOut]
    better: list[RankOut]

    @classmethod
    def of(cls, about: GoldenSet, found: IndexComparison) -> IndexComparisonOut:
        return cls(
            set_id=about.id,
            name=about.name,
            compared=found.compared,
            depth=found.depth,
            first_before=found.first.before,
            first=found.first.now,
            found_before=found.found.before,
            found=found.found.now,
            stands_against=found.stands_against,
            reason=found.reason,
            worse=[RankOut.of(place) for place in found.worse],
            better=[RankOut.of(place) for place in found.better],
        )

"""The vocabulary of golden sets: what is expected, when it is asked, what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Schedule(StrEnum):
    """How often a set is asked by itself."""

    OFF = "off"
    DAILY = "daily"
    WEEKLY = "weekly"


class Cause(StrEnum):
    """Why a run was made."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    ACTIVATION = "activation"


class RunStatus(StrEnum):
    """PENDING and RUNNING are work in progress; the row is the job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    STOPPED = "STOPPED"
    FAILED = "FAILED"

    @property
    def finished(self) -> bool:
        return self not in {RunStatus.PENDING, RunStatus.RUNNING}


@dataclass(frozen=True, slots=True)
class Expected:
    """A question and what makes its answer right.

    With `silent` it must be met with silence. Else the answer must hold one of `answers`, where there are any, and cite the
    document called `document` (on `page`), where that is named.
    """

    text: str
    answers: tuple[str, ...] = ()
    document: str = ""
    page: int | None = None
    silent: bool = False

    @property
    def sha256(self) -> str:
        """Tells whether a question is still the one that was asked."""
        told = [self.text, list(self.answers), self.document, self.page, self.silent]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Question:
    """An expected answer as it is kept."""

    id: str
    set_id: str
    ordinal: int
    expected: Expected


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The questions of one collection. `acts_for` is the administrator for whom scheduled runs search; the hour is the box's."""

    id: str
    collection_id: str
    name: str
    required: bool
    schedule: Schedule
    hour: int
    weekday: int  # 0 is Monday
    acts_for: str
    due_ms: int | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """One question of a run. `rank` is the place of the first passage that would have served, None where none was found."""

    question_id: str
    ordinal: int
    question_sha256: str
    text: str
    right: bool
    answer: str
    rank: int | None
    abstained: bool
    failed: bool
    graded: Mapping[str, float | bool] = field(default_factory=dict)
    reason: str = ""
    model: str = ""  # the version that answered, empty where none was asked


@dataclass(frozen=True, slots=True)
class Run:
    """One asking of a set. `version_id` is the version that was supposed to be active, empty for what serves anyway.

    `activates`: the version is activated once every required set has been asked and none got worse.
    """

    id: str
    set_id: str
    cause: Cause
    acts_for: str
    version_id: str
    activates: bool
    status: RunStatus
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    total: int
    done: int
    figures: Mapping[str, Any]
    conditions: Mapping[str, Any]
    conditions_sha256: str
    baseline_id: str | None
    worse: int
    better: int
    regressed: bool
    accepted_ms: int | None
    reason_code: str | None
    reason: str | None
    stop_requested: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Change:
    """A question that was right in one of two runs only."""

    question_id: str
    text: str
    got_worse: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, question by question, as far as both asked the same. `allowed` is how many more may be wrong now."""

    compared: int
    worse: tuple[Change, ...]
    better: tuple[Change, ...]
    allowed: int

    @property
    def lost(self) -> int:
        """How many more are wrong than before; below zero where more are right."""
        return len(self.worse) - len(self.better)

    @property
    def regressed(self) -> bool:
        """Whether more was lost than may be."""
        return self.lost > self.allowed


class Overview(NamedTuple):
    """A set as the list shows it: how many questions it has, its newest run, and the one that later runs are compared with."""

    set: GoldenSet
    questions: int
    latest: Run | None
    baseline: Run | None


@dataclass(frozen=True, slots=True)
class Detail:
    """A set as its page shows it; `documents` are the names that can be expected."""

    overview: Overview
    questions: list[Question]
    runs: list[Run]
    documents: list[str]


@dataclass(frozen=True, slots=True)
class Result:
    """One run with what came of each question; `before` are the outcomes of the run that it is compared with."""

    run: Run
    outcomes: list[QuestionOutcome]
    baseline: Run | None
    before: dict[str, QuestionOutcome]
    comparison: Comparison | None

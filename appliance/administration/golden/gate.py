"""What stands before a language model answers people: the golden sets that are required, asked with that very version."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from appliance.administration.golden import runs, store
from appliance.administration.golden.conditions import Conditions, digest_of
from appliance.administration.golden.index_gate import IndexGate
from appliance.administration.golden.margin import Margin, compare_runs
from appliance.administration.golden.models import Comparison, GoldenSet, QuestionOutcome, Run, RunStatus
from appliance.administration.golden.objection import GoldenObjection, named
from appliance.inference.store.versions import ModelVersion
from appliance.language.counts import counted
from appliance.storage.clock import now_ms


class Needed(NamedTuple):
    """A set that must be asked: with what serves now, since there is nothing to compare with, and with the version itself."""

    set: GoldenSet
    baseline: bool
    version: bool


class _Judged(NamedTuple):
    """A required set: the run that speaks for the version and how it compares, each where there is one."""

    set: GoldenSet
    run: Run | None
    comparison: Comparison | None
    comparable: bool
    answered: bool = True  # whether every question of the run got an answer

    @property
    def failed(self) -> bool:
        return self.run is not None and self.run.status is RunStatus.FAILED

    @property
    def spotless(self) -> bool:
        return self.answered and self.comparison is not None and self.comparison.lost <= 0


class GoldenGate:
    """Judges by rows alone; asking the questions is the work of `appliance/evaluation/golden`."""

    def __init__(self, margin: Margin, conditions: Conditions, indexes: IndexGate) -> None:
        self.margin = margin
        self.conditions = conditions
        self.indexes = indexes

    def needed(self, connection: Connection, version: ModelVersion) -> list[Needed]:
        """The required sets that do not speak for or against this version yet."""
        found = [
            Needed(item.set, baseline=not item.comparable, version=item.run is None or item.failed)
            for item in self._judged(connection, version)
        ]
        return [item for item in found if item.baseline or item.version]

    def require(self, connection: Connection, version: ModelVersion, readable: Collection[str]) -> None:
        """Return where the version may answer people. Questions and runs are named for collections in `readable` only.

        An embedding model may, where its index may take over: `administration/embedding.py`. Raises `GoldenObjection`:
        `golden.not_run`, `golden.failed` or `golden.regression`.
        """
        judged = self._judged(connection, version)
        failed = [(item.run, item.set.collection_id in readable) for item in judged if item.run is not None and item.failed]
        if failed:
            raise GoldenObjection(
                f"Asking a golden set with {version.id} failed: {failed[0][0].reason or 'nobody knows why.'}",
                code="golden.failed",
                run=next((run.id for run, seen in failed if seen), ""),
            )
        missing = sum(item.comparison is None for item in judged)
        if missing:
            what = "golden set must" if missing == 1 else "golden sets must"
            raise GoldenObjection(
                f"{missing} {what} be asked with {version.id} before it answers anybody.", code="golden.not_run", sets=missing
            )
        worse = [item for item in judged if item.comparison is not None and item.comparison.regressed]
        if worse:
            raise _regression(version, worse, readable)

    def settle(self, connection: Connection, version: ModelVersion, *, overridden: bool) -> int:
        """The version is active. How many runs with it are those that later ones are compared with from now on.

        Those that lost nothing and answered everything, or all where an administrator said that it is to be so: losses that
        are allowed must not add up.
        """
        asked = [
            item.run
            for item in self._judged(connection, version)
            if item.run is not None and item.comparison is not None and (overridden or item.spotless)
        ]
        for run in asked:
            runs.accept(connection, run.id)
        return len(asked)

    def comparable(self, connection: Connection, about: GoldenSet) -> tuple[Run, list[QuestionOutcome]] | None:
        """The accepted run with its outcomes, where it asked a question that is still one of the set's."""
        baseline = runs.baseline_of(connection, about.id)
        if baseline is None:
            return None
        outcomes = runs.outcomes_of(connection, baseline.id)
        asked = _asked(connection, about)
        return (baseline, outcomes) if any(item.question_sha256 in asked for item in outcomes) else None

    def _judged(self, connection: Connection, version: ModelVersion) -> list[_Judged]:
        if version.kind != "language":
            return []
        counts = store.count_questions(connection)
        required = [item for item in store.load_sets(connection) if item.required and counts.get(item.id)]
        if not required:
            return []
        digest = digest_of(self.conditions.of(connection, version.id))
        return [self._judge(connection, item, version, digest) for item in required]

    def _judge(self, connection: Connection, about: GoldenSet, version: ModelVersion, digest: str) -> _Judged:
        before = self.comparable(connection, about)
        since = now_ms() - int(self.margin.valid_h * 3_600_000)
        run = runs.latest_with(connection, about.id, version.id, since)
        if run is None or run.status is RunStatus.FAILED:
            return _Judged(about, run, None, comparable=before is not None)
        outcomes = runs.outcomes_of(connection, run.id)
        # settings that changed, or questions that were added or changed since, want a new run
        if run.conditions_sha256 != digest or not _asked(connection, about) <= {item.question_sha256 for item in outcomes}:
            return _Judged(about, None, None, comparable=before is not None)
        comparison = compare_runs(before[1], outcomes, self.margin) if before else None
        answered = not any(item.failed for item in outcomes)
        return _Judged(about, run, comparison, comparable=before is not None, answered=answered)


def _asked(connection: Connection, about: GoldenSet) -> set[str]:
    return {item.expected.sha256 for item in store.load_questions(connection, about.id)}


def _regression(version: ModelVersion, worse: list[_Judged], readable: Collection[str]) -> GoldenObjection:
    changes = [change for item in worse if item.comparison for change in item.comparison.worse]
    seen = [item for item in worse if item.set.collection_id in readable]
    told = [change for item in seen if item.comparison for change in item.comparison.worse]
    return GoldenObjection(
        f"{version.id} answers {counted(len(changes), 'question')} of the golden sets wrongly that are answered rightly now"
        f"{named([change.text for change in told], len(changes))}",
        code="golden.regression",
        worse=len(changes),
        run=next((item.run.id for item in seen if item.run), ""),
        questions=" ".join(change.question_id for change in told)[:2_000],
    )

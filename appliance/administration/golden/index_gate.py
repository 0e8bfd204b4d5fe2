"""What stands before another embedding model finds the passages: the required golden sets, searched in both indexes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import astuple
from typing import NamedTuple

from sqlalchemy import Connection

from appliance.administration.golden import comparisons, store
from appliance.administration.golden.margin import Margin
from appliance.administration.golden.models import GoldenSet, Question
from appliance.administration.golden.objection import GoldenObjection, named
from appliance.administration.golden.places import IndexComparison
from appliance.language.counts import counted
from appliance.retrieval import indexes
from appliance.retrieval.indexes import IndexRecord, Judgement
from appliance.storage.clock import now_ms

_RETRY_MS = 600_000
"""A set that could not be asked is asked again after this long, as long as nobody has decided."""

_LONGEST = 300


class AskedSet(NamedTuple):
    """A required set as it is now, and the comparison that speaks of exactly that, where there is one."""

    set: GoldenSet
    questions: list[Question]
    digest: str
    comparison: IndexComparison | None


class IndexGate:
    """Judges by rows alone; asking is the work of `index_trial.py`. An index that is unconditional is not judged."""

    def __init__(self, margin: Margin, depth: int) -> None:
        """`depth` is how many passages an answer is written from."""
        self.margin = margin
        self.depth = depth

    def required(self, connection: Connection) -> bool:
        """Whether anything must be asked before an index takes over."""
        counts = store.count_questions(connection)
        return any(item.required and counts.get(item.id) for item in store.load_sets(connection))

    def next_unasked(self, connection: Connection, index: IndexRecord) -> AskedSet | None:
        """A required set of which nothing is known as it is now: not asked yet, or changed since, or documents were."""
        return next((item for item in self._asked(connection, index) if item.comparison is None), None)

    def judge(self, connection: Connection, index: IndexRecord) -> Judgement:
        """In numbers: no question is named."""
        if index.unconditional:
            return Judgement(open=False, against="", facts={"golden": "unheeded"})
        asked = [item.comparison for item in self._asked(connection, index)]
        known = [item for item in asked if item is not None]
        if len(known) < len(asked):
            return Judgement(open=True, against="", facts={})
        failed = next((item for item in known if item.reason_code), None)
        worse = sum(len(item.worse) for item in known if item.regressed)
        against = ""
        if failed is not None:
            against = f"a golden set could not be asked: {failed.reason}"[:_LONGEST]
        elif worse:
            against = (
                f"for {counted(worse, 'question')} of the golden sets the expected passage is found further down, or not at all."
            )
        return Judgement(open=False, against=against, facts={"golden_sets": len(known)} if known else {})

    def require(self, connection: Connection, index: IndexRecord, readable: Collection[str]) -> None:
        """Return unless what is known of a building index stands against it. Questions are named for `readable` collections only.

        Raises `GoldenObjection`: `golden.failed` or `golden.regression`.
        """
        asked = self._asked(connection, index)
        against = [item for item in asked if item.comparison is not None and item.comparison.stands_against]
        failed = [item.comparison for item in against if item.comparison is not None and item.comparison.reason_code]
        if failed:
            raise GoldenObjection(
                f"A golden set could not be asked in the index of {index.model_id}: {failed[0].reason}", code="golden.failed"
            )
        if against:
            worse = [(item.set, place) for item in against if item.comparison for place in item.comparison.worse]
            told = [place.text for about, place in worse if about.collection_id in readable]
            raise GoldenObjection(
                f"With {index.model_id} the expected passage of {counted(len(worse), 'question')} of the golden sets is found "
                f"further down, or not at all{named(told, len(worse))}",
                code="golden.regression",
                worse=len(worse),
            )

    def _asked(self, connection: Connection, index: IndexRecord) -> list[AskedSet]:
        if index.unconditional:
            return []
        kept = comparisons.kept(connection, index.number)
        found = []
        for about in store.load_sets(connection):
            questions = store.load_questions(connection, about.id) if about.required else []
            if not questions:
                continue
            digest = self._digest(connection, index, about, questions)
            known = kept.get(about.id)
            valid = known is not None and known.digest == digest
            if known is not None and known.comparison.reason_code:
                valid = valid and now_ms() - known.compared_ms < _RETRY_MS
            found.append(AskedSet(about, questions, digest, known.comparison if known is not None and valid else None))
        return found

    def _digest(self, connection: Connection, index: IndexRecord, about: GoldenSet, questions: list[Question]) -> str:
        """Of all that a comparison rests on. The generation of a collection is another one after each change to its passages."""
        generation = connection.exec_driver_sql(
            "SELECT generation FROM search_collections JOIN collections ON number = collection_number WHERE collections.id = ?",
            (about.collection_id,),
        ).scalar()
        serving = indexes.serving(connection)
        told = [serving.number, serving.sha256, index.number, index.sha256, about.acts_for, generation, self.depth]
        told += [astuple(self.margin), sorted((item.id, item.expected.sha256) for item in questions)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

"""Asks the required golden sets in the index that serves and in the one that is to take its place. Searching only.

Each set is one row when it is done, so a crash costs the set in hand, which is asked again. Who makes way goes on with the next
question, unless documents or questions changed meanwhile. The write lock is held for that row alone. What a comparison rests on
is part of its row: where documents or questions changed meanwhile it says nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from appliance.administration.golden import comparisons
from appliance.administration.golden.index_gate import AskedSet, IndexGate
from appliance.administration.golden.models import GoldenSet
from appliance.administration.golden.places import IndexComparison, Rank, compared_places, place_of
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import ApplianceError, Denied, NotFound
from appliance.identity.models import SYSTEM, Principal
from appliance.identity.store import load_principal
from appliance.inference.runtime import Embeds
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.retrieval import indexes
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.indexes import IndexRecord, Judgement
from appliance.retrieval.search import Search
from appliance.storage.database import Database

PATIENCE = 3
"""So often a comparison makes way. Then uploads wait for it: each may change what it speaks of, and it would never be done."""


class IndexTrial:
    """The means to ask what a gate judges by."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, gate: IndexGate) -> None:
        self._gate = gate
        self._database = database
        self._access = access
        self._audit = audit
        self._begun: tuple[str, list[Rank]] = ("", [])  # what is known of the set in hand, by its digest
        self._made_way: tuple[int, int] = (0, 0)  # for which index, and how often since all its sets were asked

    def judge(self, connection: Connection, index: IndexRecord) -> Judgement:
        """As the gate does."""
        return self._gate.judge(connection, index)

    def compare(self, index: IndexRecord, serving: Callable[[], Embeds], coming: Embeds, make_way: Callable[[], bool]) -> bool:
        """Ask every set that is not asked yet; False where `make_way` says that somebody waits, `PATIENCE` times at most.

        Ends early, with True, where the index does not hold everything any more.
        """
        # indexes of their own: what a search holds in memory is of one index
        before = Search(self._database, self._access, serving, SearchIndex())
        now = Search(self._database, self._access, lambda: coming, SearchIndex(), number=index.number)
        while True:
            with self._database.read() as connection:
                # in one snapshot: the digest speaks of documents that the index holds
                if indexes.outstanding(connection, index.number) is not None:
                    return True
                asked = self._gate.next_unasked(connection, index)
            times = self._made_way[1] if self._made_way[0] == index.number else 0
            if asked is None:
                self._made_way = (index.number, 0)
                return True
            found = self._compared(asked, (before, now), make_way if times < PATIENCE else lambda: False)
            if found is None:
                self._made_way = (index.number, times + 1)
                return False
            if not self._keep(index, asked, found):
                return True

    def _compared(self, asked: AskedSet, searches: Sequence[Search], make_way: Callable[[], bool]) -> IndexComparison | None:
        about = asked.set
        digest, places = self._begun
        if digest != asked.digest:
            places = []
            self._begun = (asked.digest, places)
        known = {place.question_id for place in places}
        try:
            principal = self._principal(about)
            for question in asked.questions:
                if question.expected.silent or question.id in known:  # what is to be met with silence has no place
                    continue
                if make_way():
                    return None
                text = question.expected.text
                found = [
                    search.search(principal, text, self._gate.depth, collection_id=about.collection_id) for search in searches
                ]
                with self._database.read() as connection:
                    at = [place_of(connection, question.expected, hits) for hits in found]
                places.append(Rank(question.id, text, at[0], at[1]))
        except ApplianceError as error:
            return IndexComparison(about.id, reason_code=error.stable_code, reason=error.sentence)
        return compared_places(about.id, places, self._gate.depth, self._gate.margin)

    def _principal(self, about: GoldenSet) -> Principal:
        """The administrator for whom scheduled runs search. Raises `Denied` (`golden.denied`)."""
        with self._database.read() as connection:
            principal = load_principal(connection, about.acts_for)
        if principal is None:
            raise Denied("The administrator for whom it is asked has no account any more.", code="golden.denied")
        try:
            self._access.require(principal, Action.GOLDEN_RUN, APPLIANCE)
            self._access.require_collection(principal, Action.DOCUMENT_READ, about.collection_id)
        except (Denied, NotFound) as error:
            sentence = "The administrator for whom it is asked may not read its collection any more."
            raise Denied(sentence, code="golden.denied") from error
        return principal

    def _keep(self, index: IndexRecord, asked: AskedSet, found: IndexComparison) -> bool:
        """Store it; False where the index was abandoned meanwhile, or the set deleted."""
        with self._database.write() as connection:
            current = indexes.building(connection)
            if current is None or current.number != index.number or not _is_there(connection, asked.set):
                return False
            known = comparisons.kept(connection, index.number).get(asked.set.id)
            comparisons.keep(connection, index.number, asked.digest, found)
            same = known is not None and known.digest == asked.digest and known.comparison == found
            if not same:  # a set that still cannot be asked is told once
                self._record(connection, index, asked.set, found)
        return True

    def _record(self, connection: Connection, index: IndexRecord, about: GoldenSet, found: IndexComparison) -> None:
        facts: dict[str, str | int] = {
            "index": index.number,
            "questions": found.compared,
            "worse": len(found.worse),
            "better": len(found.better),
            "first": found.first.now,
            "first_before": found.first.before,
            "found": found.found.now,
            "found_before": found.found.before,
        }
        if found.reason_code:
            facts = {"index": index.number, "reason": found.reason_code}
        event = AuditEvent(
            EventName.EMBEDDING_COMPARED,
            SYSTEM,
            resources=(
                ResourceRef("model", index.model_id),
                ResourceRef("golden_set", about.id),
                ResourceRef("collection", about.collection_id),
            ),
            outcome=Outcome.FAILURE if found.stands_against else Outcome.SUCCESS,
            on_behalf_of=load_principal(connection, about.acts_for),
            facts=facts,
        )
        self._audit.append(connection, event)


def _is_there(connection: Connection, about: GoldenSet) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM golden_sets WHERE id = ?", (about.id,)).first() is not None

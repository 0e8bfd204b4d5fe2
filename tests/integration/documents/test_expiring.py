"""Things that are removed by their age: what goes from where, what a crash leaves, what is held, and what others left."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from appliance.administration.golden.models import Expected
from appliance.administration.retention import Retention
from appliance.audit.events import EventName
from appliance.audit.integrity import check
from appliance.audit.log import AuditLog
from appliance.bootstrap import Appliance
from appliance.chat.expiring import ConversationExpiry
from appliance.documents import expiring as old_documents
from appliance.documents.expiring import DocumentExpiry
from appliance.documents.service import DocumentService
from appliance.errors import NotFound
from appliance.identity.models import SYSTEM, Principal, Role
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.terms import question_terms
from appliance.storage import tables
from appliance.storage.clock import now_ms
from tests.conftest import EVERYBODY, PASSWORD
from tests.growing_old import Time, cared_for, events, left, put, said

pytestmark = pytest.mark.usefixtures("without_pauses")


def test_documents_go_by_the_number_of_their_collection_from_everywhere(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time: Time,
) -> None:
    other = appliance.collections.create(administrator, "Archive", readers=EVERYBODY, contributors=EVERYBODY)
    own = next(item.id for item in appliance.collections.readable(alice) if item.owner_id == alice.id)
    gone = put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    unread = put(service, alice, shared, "waits.txt", "The ferry waits.", ingest=False)
    kept = [put(service, alice, where, "rules.txt", "The ferry is at sea, too.") for where in (other, own)]
    golden_set = appliance.golden.create(administrator, shared, "Questions").id
    appliance.golden.add(administrator, golden_set, [Expected("Where?", ("at sea",), "rules.txt", 1, False)])
    conversation = said(appliance, alice)
    with appliance.database.write() as connection:
        answer = connection.execute(select(tables.messages.c.id).where(tables.messages.c.role == "assistant")).scalar()
        chunk = connection.execute(select(tables.chunks.c.id).where(tables.chunks.c.document_id == gone)).scalar()
        place = {"message_id": answer, "page": 1, "start": 0, "end": 9}
        connection.execute(
            tables.message_passages.insert().values(number=1, score=1.0, chunk_id=chunk, document_id=gone, **place)
        )
        connection.execute(tables.message_nearest.insert().values(rank=1, document_id=gone, **place))
        connection.execute(tables.citations.insert().values(ordinal=1, number=1, answer_start=0, answer_end=2, **place))
    assert appliance.chat.message(alice, answer).citations[0].text == "The ferry"
    number = next(item.number for item in appliance.collections.readable(alice) if item.id == shared)
    retention.change(administrator, 7, going=0, collection_id=shared)
    time.passes(6.9)
    assert cared_for(appliance) == (0, 0)
    time.passes(0.2)
    assert cared_for(appliance) == (0, 2)

    assert {item.id for item in service.list(alice)} == set(kept)
    (cited,) = appliance.chat.message(alice, answer).citations
    assert (cited.document_id, cited.document_name, cited.text, cited.page) == (None, "", "", 1)
    assert appliance.chat.message(alice, answer).nearest == ()
    assert left(appliance, "documents", "pages", "chunks", "search_exact", "search_hidden") == [2, 2, 2, 2, 0]
    with appliance.database.read() as connection:
        assert SearchIndex().view(connection, {number}).matching(question_terms("ferry"), 9).ids.size == 0
    assert len(list(appliance.blobs.names())) == 1  # of the same words in two collections
    (question,) = appliance.golden.questions(administrator, golden_set)[1]
    assert question.expected.document == "rules.txt"  # its next run says that nothing of that name is cited
    told = {record.resources[0].id: record for record in events(appliance, EventName.DOCUMENT_DELETED)}
    assert set(told) == {gone, unread}
    record = told[gone]
    assert (record.actor_pseudonym, record.resources[1].id) == (SYSTEM.pseudonym, shared)
    assert {name: record.facts[name] for name in ("why", "days", "chunks")} == {"why": "retention", "days": 7, "chunks": 1}
    assert appliance.chat.conversation(alice, conversation)


def test_what_a_worker_reads_stays_for_the_next_time(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time: Time,
) -> None:
    document = put(service, alice, shared, "rules.txt", "The ferry is at sea.", ingest=False)
    retention.change(administrator, 1, going=0, collection_id=shared)
    time.passes(2)
    leased = update(tables.documents).where(tables.documents.c.id == document)
    with appliance.database.write() as connection:
        connection.execute(leased.values(status="PARSING", claimed_by="worker", lease_until_ms=now_ms() + 60_000))
    assert cared_for(appliance) == (0, 0)
    with appliance.database.write() as connection:
        connection.execute(leased.values(lease_until_ms=0))
    assert cared_for(appliance) == (0, 1)


def test_the_name_is_sealed_as_the_uploaders_unless_they_have_left(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    officer: Principal,
    alice: Principal,
    shared: str,
    time: Time,
) -> None:
    carol = appliance.people.create(administrator, "carol", PASSWORD, {Role.EMPLOYEE})
    put(service, carol, shared, "hers.txt", "The ferry is hers.")
    put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    appliance.people.update(administrator, carol.id, disabled=True)
    appliance.people.delete(administrator, carol.id, conversations=0, documents=0)
    retention.change(administrator, 1, going=0, collection_id=shared)
    time.passes(2)
    assert cared_for(appliance) == (0, 2)
    seqs = [record.seq for record in events(appliance, EventName.DOCUMENT_DELETED)]
    with appliance.database.read() as connection:
        sealed = connection.execute(select(tables.audit_sealed).where(tables.audit_sealed.c.seq.in_(seqs))).all()
    assert [(row.field, row.subject) for row in sealed] == [("name", alice.pseudonym)]


def test_after_a_crash_each_goes_once_with_one_event(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time,
    monkeypatch,
) -> None:
    talks = [said(appliance, alice) for _ in range(4)]
    documents = [put(service, alice, shared, f"{number}.txt", f"The ferry {number} is at sea.") for number in range(4)]
    retention.change(administrator, 1, going=0)
    retention.change(administrator, 1, going=0, collection_id=shared)
    time.passes(2)
    append, removed = AuditLog.append, (EventName.CONVERSATION_DELETED, EventName.DOCUMENT_DELETED)
    for name, care in zip(
        removed,
        (
            lambda: ConversationExpiry(appliance.database, appliance.audit).run(list),
            lambda: DocumentExpiry(appliance.database, appliance.blobs, appliance.audit, SearchIndex()).run(),
        ),
        strict=True,
    ):
        seen: list[object] = []

        def dies(self, connection, event, seen=seen, name=name):
            seen += [event] if event.name is name else []
            if len(seen) == 3:
                raise KeyboardInterrupt
            return append(self, connection, event)

        monkeypatch.setattr(AuditLog, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            care()
        monkeypatch.setattr(AuditLog, "append", append)
        assert events(appliance, name) == []
    assert left(appliance, "conversations", "documents") == [4, 4]
    with monkeypatch.context() as patched:  # after the rows are gone and before the files are
        patched.setattr(old_documents, "remove_unused", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            cared_for(appliance)
    cared_for(appliance)
    assert left(appliance, "conversations", "messages", "documents", "pages", "chunks", "search_exact") == [0] * 6
    gone = [[record.resources[0].id for record in events(appliance, name)] for name in removed]
    assert [sorted(ids) for ids in gone] == [sorted(talks), sorted(documents)]
    appliance.documents.sweep_passages()
    monkeypatch.setattr("appliance.documents.service._ORPHAN_AGE_S", -60)
    assert appliance.documents.remove_orphans() == 4
    assert list(appliance.blobs.names()) == []


def test_a_large_document_is_out_of_sight_at_once_and_swept_after_a_crash(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time,
    monkeypatch,
) -> None:
    large = put(service, alice, shared, "tides.txt", " ".join(f"Tide {number} comes to the ferry." for number in range(400)))
    small = put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    assert left(appliance, "chunks")[0] > 4
    monkeypatch.setattr(slices, "SLICE", 2)
    retention.change(administrator, 1, going=0, collection_id=shared)
    time.passes(2)
    with monkeypatch.context() as patched:
        patched.setattr(slices, "sweep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            cared_for(appliance)
    assert [item.id for item in service.list(alice)] == [small]
    assert len(list(appliance.blobs.names())) == 1
    number = next(item.number for item in appliance.collections.readable(alice) if item.id == shared)
    with appliance.database.read() as connection:
        assert SearchIndex().view(connection, {number}).matching(question_terms("tide"), 9).ids.size == 0
    assert cared_for(appliance) == (0, 1)
    service.sweep_passages()
    assert left(appliance, "documents", "pages", "chunks", "search_exact", "search_hidden") == [0] * 5
    assert [record.resources[0].id for record in events(appliance, EventName.DOCUMENT_DELETED)] == [small, large]
    with appliance.database.read() as connection:
        assert check(connection, appliance.keys.audit_sealing).intact


def test_what_belongs_to_somebody_held_stays_until_that_is_lifted_and_no_number_tells_it(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    officer: Principal,
    alice: Principal,
    bob: Principal,
    shared: str,
    time: Time,
) -> None:
    hers, his = said(appliance, alice), said(appliance, bob)
    uploads = [put(service, who, shared, "rules.txt", f"The ferry of {who.name}.") for who in (alice, bob)]
    before = [retention.outlook(administrator, 1, where).going for where in (None, shared)]
    appliance.holds.place(officer, alice.pseudonym, "a claim")
    time.passes(2)
    assert [retention.outlook(administrator, 1, where).going for where in (None, shared)] == [2, 2]
    assert before == [0, 0]
    retention.change(administrator, 1, going=2)
    retention.change(administrator, 1, going=2, collection_id=shared)
    time.passes(1)
    assert cared_for(appliance) == (1, 1)
    assert [item.id for item in appliance.chat.conversations(alice)] == [hers]
    assert {item.id for item in service.list(alice)} == {uploads[0]}
    with pytest.raises(NotFound):
        appliance.chat.conversation(bob, his)
    appliance.holds.lift(officer, alice.pseudonym, "settled")
    assert cared_for(appliance) == (1, 1)
    assert left(appliance, "conversations", "documents") == [0, 0]


def test_a_process_that_found_nothing_left_looks_again_with_the_next_care(
    appliance: Appliance, retention: Retention, administrator: Principal, officer: Principal, alice: Principal, time: Time
) -> None:
    said(appliance, alice)
    appliance.holds.place(officer, alice.pseudonym, "a claim")
    retention.change(administrator, 1, going=0)
    time.passes(2)
    expiry = ConversationExpiry(appliance.database, appliance.audit)
    assert expiry.run(list) == 0
    appliance.holds.lift(officer, alice.pseudonym, "settled")
    assert expiry.run(list) == 0
    time.passes(1 / 24)
    assert expiry.run(list) == 1


def test_what_deleted_people_and_collections_left_is_told_as_theirs(
    appliance: Appliance,
    service: DocumentService,
    retention: Retention,
    administrator: Principal,
    alice: Principal,
    shared: str,
    time: Time,
) -> None:
    said(appliance, alice)
    put(service, alice, shared, "rules.txt", "The ferry is at sea.")
    retention.change(administrator, 1, going=0)
    retention.change(administrator, 1, going=0, collection_id=shared)
    time.passes(2)
    appliance.collections.delete(administrator, shared, name="Handbook", documents=1)
    appliance.people.update(administrator, alice.id, disabled=True)
    appliance.people.delete(administrator, alice.id, conversations=1, documents=0)
    assert cared_for(appliance) == (0, 0)
    assert (appliance.conversation_clearing.run(list), appliance.clearing.run()) == (1, 1)
    for name in (EventName.CONVERSATION_DELETED, EventName.DOCUMENT_DELETED):
        assert [record.facts.get("why") for record in events(appliance, name)] == [None]

"""A collection that is deleted: what is refused, what is gone at once, what is cleared away later, and what stays."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from appliance.administration.golden.models import Expected
from appliance.audit.events import EventName, Outcome
from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.documents.clearing import Clearing
from appliance.documents.models import DocumentStatus
from appliance.documents.service import DocumentService
from appliance.errors import Conflict, Denied, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.policy.actions import Action
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.terms import question_terms
from appliance.storage.tables import collections, golden_sets, grants, message_passages, messages

LEFT = ("documents", "pages", "chunks", "search_exact", "search_hidden")


@pytest.fixture
def clearing(appliance: Appliance) -> Clearing:
    return Clearing(appliance.database, appliance.blobs, appliance.audit, SearchIndex())


@pytest.fixture
def fill(service: DocumentService, alice: Principal, shared: str):
    """Upload files to the shared collection as alice, and ingest them."""

    def filled(*texts: str, ingest: bool = True) -> list[str]:
        ids = []
        for number, words in enumerate(texts):
            with service.begin_upload(alice, shared, f"{number}.txt") as upload:
                upload.write(words.encode())
                ids.append(upload.commit()[0].id)
            if ingest:
                service.ingest(ids[-1], "worker")
        return ids

    return filled


def counts(appliance: Appliance, *tables: str) -> list[int]:
    with appliance.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables]


def numbers(appliance: Appliance) -> list[int]:
    with appliance.database.read() as connection:
        return list(connection.execute(select(collections.c.number)).scalars())


def number_of(appliance: Appliance, collection_id: str) -> int:
    with appliance.database.read() as connection:
        return connection.execute(select(collections.c.number).where(collections.c.id == collection_id)).scalar_one()


def found(appliance: Appliance, number: int) -> int:
    """How many passages the index finds in a collection, whoever asks."""
    with appliance.database.read() as connection:
        return SearchIndex().view(connection, {number}).matching(question_terms("ferry"), 50).ids.size


def events(appliance: Appliance, name: EventName):
    with appliance.database.read() as connection:
        return [record for record in search(connection, AuditFilter(), limit=200) if record.event == name]


def test_only_an_administrator_deletes_and_strangers_learn_nothing(
    appliance: Appliance, administrator: Principal, alice: Principal, officer: Principal, shared: str
) -> None:
    closed = appliance.collections.create(administrator, "Board")
    with pytest.raises(Denied):
        appliance.collections.delete(alice, shared, name="Handbook")
    for who, target in ((alice, closed), (alice, "f" * 32), (officer, shared), (administrator, "f" * 32)):
        with pytest.raises(NotFound):
            appliance.collections.delete(who, target, name="Board")
    own = appliance.collections.readable(alice)[0]
    for who in (alice, administrator):
        with pytest.raises(Denied):
            appliance.collections.delete(who, own.id, name=own.name)
    assert {item.name for item in appliance.collections.list_all(administrator)} >= {"Handbook", "Board", "My documents"}


def test_without_its_name_nothing_is_deleted(appliance: Appliance, administrator: Principal, shared: str) -> None:
    for typed in ("", "Hand book", "Handbook 2", shared):
        with pytest.raises(InvalidInput) as refused:
            appliance.collections.delete(administrator, shared, name=typed)
        assert refused.value.stable_code == "collection.name_mismatch"
    assert shared in {item.id for item in appliance.collections.list_all(administrator)}
    appliance.collections.delete(administrator, shared, name=" handbook ")


def test_documents_go_only_where_that_was_said_of_all_of_them(
    appliance: Appliance, service: DocumentService, administrator: Principal, alice: Principal, shared: str, fill
) -> None:
    first, _ = fill("The ferry is at sea.", "The other ferry is in the harbour.")
    for said in (0, 1):
        with pytest.raises(Conflict, match="Handbook holds 2 documents") as refused:
            appliance.collections.delete(administrator, shared, name="Handbook", documents=said)
        assert (refused.value.stable_code, refused.value.data["documents"]) == ("collection.holds_documents", 2)
    assert service.get(alice, first).status is DocumentStatus.READY
    assert found(appliance, number_of(appliance, shared)) == 2
    assert events(appliance, EventName.COLLECTION_DELETED) == []


def test_it_is_out_of_reach_before_anything_is_cleared_away(
    appliance: Appliance, service: DocumentService, administrator: Principal, alice: Principal, shared: str, fill
) -> None:
    first, *_ = fill("The ferry is at sea.", "The other ferry is in the harbour.")
    (waiting,) = fill("A third ferry waits.", ingest=False)
    late = service.begin_upload(alice, shared, "late.txt")
    late.write(b"Another ferry.")
    permitted = service.begin_upload(alice, shared, "permitted.txt")
    permitted.write(b"And another ferry.")
    permitted._permit = lambda: None  # asked a moment before the collection was deleted
    number = number_of(appliance, shared)
    appliance.collections.delete(administrator, shared, name="Handbook", documents=3)

    assert found(appliance, number) == 0
    for action in (Action.DOCUMENT_READ, Action.DOCUMENT_UPLOAD, Action.COLLECTION_UPDATE):
        assert (
            shared
            not in appliance.access.scope(alice, action).collection_ids
            | appliance.access.scope(administrator, action).collection_ids
        )
    for act in (
        lambda: service.get(alice, first),
        lambda: service.retry(alice, waiting),
        lambda: service.begin_upload(alice, shared, "new.txt"),
        late.commit,
        permitted.commit,
        lambda: appliance.collections.update(administrator, shared, name="Handbook"),
        lambda: appliance.collections.delete(administrator, shared, name="", documents=3),
        lambda: appliance.golden.create(administrator, shared, "Questions"),
    ):
        with pytest.raises(NotFound):
            act()
    with appliance.database.read() as connection:
        refused = search(connection, AuditFilter(event=EventName.DOCUMENT_UPLOADED, outcome=Outcome.FAILURE), limit=5)
    assert [record.facts for record in refused] == [{"reason": "not_found"}]  # what was on its way in
    service.ingest(waiting, "worker")
    assert (service.list(alice), waiting in service.pending_ids()) == ([], False)
    assert shared not in {item.id for item in appliance.collections.list_all(administrator)}
    (record,) = events(appliance, EventName.COLLECTION_DELETED)
    assert (record.facts, record.resources) == ({"documents": 3, "golden_sets": 0}, (("collection", shared),))


def test_what_it_held_is_cleared_away_and_told_document_by_document(
    appliance: Appliance,
    service: DocumentService,
    administrator: Principal,
    alice: Principal,
    shared: str,
    fill,
    clearing,
    monkeypatch,
) -> None:
    monkeypatch.setattr(slices, "PAUSE_S", 0)
    monkeypatch.setattr(slices, "SLICE", 4)
    ids = fill("The ferry is at sea.", "The other ferry is in the harbour.", "\n\n".join(["The ferry sails. " * 90] * 8))
    ids += fill("A fourth ferry waits.", ingest=False)
    other = appliance.collections.readable(alice)[0]
    with service.begin_upload(alice, other.id, "kept.txt") as upload:
        upload.write(b"The ferry is at sea.")  # the same file as one of those that go
        kept = upload.commit()[0].id
    service.ingest(kept, "worker")
    appliance.collections.delete(administrator, shared, name="Handbook", documents=4)

    remove = SearchIndex.remove

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchIndex, "remove", dies)
    with pytest.raises(KeyboardInterrupt):
        clearing.run()
    monkeypatch.setattr(SearchIndex, "remove", remove)
    assert clearing.run() >= 1
    assert clearing.run() == 0
    assert counts(appliance, *LEFT) == [1, 1, 1, 1, 0]
    assert counts(appliance, "search_collections") == [1]
    assert b"".join(service.content(alice, kept)[1]) == b"The ferry is at sea."
    assert len(list(appliance.blobs.names())) == 1
    told = events(appliance, EventName.DOCUMENT_DELETED)
    assert sorted(record.resources[0][1] for record in told) == sorted(ids)
    assert all(record.facts["with"] == "collection" for record in told)


def test_past_answers_stay_and_say_that_their_source_is_gone(
    appliance: Appliance, service: DocumentService, administrator: Principal, alice: Principal, shared: str, fill, clearing
) -> None:
    (document_id,) = fill("The ferry is at sea.")
    conversation = appliance.chat.create_conversation(alice, shared)
    with appliance.database.write() as connection:
        row = {"id": "m", "conversation_id": conversation.id, "ordinal": 1, "role": "assistant", "text": "At sea. [1]"}
        connection.execute(messages.insert().values(status="DONE", created_ms=1, **row))
        passage = {"message_id": "m", "number": 1, "page": 1, "start": 0, "end": 9, "score": 1.0}
        connection.execute(message_passages.insert().values(document_id=document_id, **passage))
        span = {"ordinal": 1, "number": 1, "answer_start": 8, "answer_end": 11, "page": 1, "start": 0, "end": 9}
        connection.execute(
            text("INSERT INTO citations VALUES ('m', :ordinal, :number, :answer_start, :answer_end, :page, :start, :end)"), span
        )
    assert appliance.chat.message(alice, "m").citations[0].text == "The ferry"
    appliance.collections.delete(administrator, shared, name="Handbook", documents=1)
    for _ in range(2):
        (cited,) = appliance.chat.message(alice, "m").citations
        assert (cited.document_id, cited.document_name, cited.text, cited.page) == (None, "", "", 1)
        clearing.run()
    assert counts(appliance, *LEFT, "conversations") == [0, 0, 0, 0, 0, 1]
    assert appliance.chat.conversations(alice)[0].id == conversation.id


def test_grants_and_golden_sets_go_with_it_and_its_name_is_free(
    appliance: Appliance, administrator: Principal, shared: str, service: DocumentService
) -> None:
    set_id = appliance.golden.create(administrator, shared, "Questions").id
    appliance.golden.add(administrator, set_id, [Expected("Who?", ("the porter",), "", None, False)])
    appliance.golden.change(administrator, set_id, required=True)
    before = numbers(appliance)
    appliance.collections.delete(administrator, shared, name="Handbook")
    (record,) = events(appliance, EventName.GOLDEN_DELETED)
    assert record.resources == (("golden_set", set_id), ("collection", shared))
    with appliance.database.read() as connection:
        assert connection.execute(select(golden_sets.c.id)).all() == []
        assert connection.execute(select(grants.c.collection_id).where(grants.c.collection_id == shared)).all() == []
        assert connection.execute(select(collections.c.name).where(collections.c.id == shared)).scalar() == ""
    again = appliance.collections.create(administrator, "Handbook")
    assert again != shared
    assert max(numbers(appliance)) > max(before)


def test_no_number_comes_twice(appliance: Appliance, administrator: Principal, clearing) -> None:
    seen = set(numbers(appliance))
    for _ in range(3):
        made = appliance.collections.create(administrator, "Fleeting")
        newest = max(numbers(appliance))
        assert newest not in seen
        seen.add(newest)
        appliance.collections.delete(administrator, made, name="Fleeting")
        clearing.run()


def test_memory_lets_go_of_its_vectors(
    appliance: Appliance, service: DocumentService, administrator: Principal, alice: Principal, shared: str, fill
) -> None:
    index, number = SearchIndex(), number_of(appliance, shared)
    fill("The ferry is at sea.")
    own = appliance.collections.readable(alice)[0]
    with service.begin_upload(alice, own.id, "own.txt") as upload:
        upload.write(b"A ferry of my own.")
        kept = upload.commit()[0].id
    with appliance.database.read() as connection:
        assert len(index.view(connection, {number}).partitions()) == 1
    appliance.collections.delete(administrator, shared, name="Handbook", documents=1)
    service.ingest(kept, "worker")
    with appliance.database.read() as connection:
        assert index.view(connection, {number}).partitions() == []
        assert len(index.view(connection, {own.number, number}).partitions()) == 1
    assert set(index._held.partitions) == {own.number}

"""Documents of more passages than one transaction should hold: seen whole or not at all, whatever ends in between."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text, update

from appliance.documents import service as documents_service
from appliance.documents.models import DocumentStatus
from appliance.errors import NotFound
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.terms import question_terms
from appliance.storage.tables import chunks, collections, documents, message_passages

PASSAGES = 14
LONG = "\n\n".join(
    f"# Part {n}\n\nThe ferry Heron leaves pier {n} with {n + 40} cars. " + "Nobody swims. " * 30 for n in range(14)
)
TABLES = ("search_vectors", "search_exact", "search_words", "search_pieces", "search_hidden", "chunks", "pages", "documents")


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(slices, "SLICE", 4)
    monkeypatch.setattr(slices, "PAUSE_S", 0)
    monkeypatch.setattr(documents_service, "_AT_ONCE", 4)


@pytest.fixture
def at_slice(monkeypatch):
    """Have something done before the given slice is stored."""

    def arranged(wanted: int, act) -> None:
        add, seen = SearchIndex.add, []

        def counted(self, connection, rows, *, made_by="", hidden=False):
            seen.append(len(rows))
            if len(seen) == wanted:
                monkeypatch.setattr(SearchIndex, "add", add)
                act()
            add(self, connection, rows, made_by=made_by, hidden=hidden)

        monkeypatch.setattr(SearchIndex, "add", counted)

    return arranged


def found(appliance, index: SearchIndex) -> tuple[int, int]:
    """How many passages the words and the vectors of the whole box find."""
    with appliance.database.read() as connection:
        numbers = set(connection.execute(select(collections.c.number)).scalars())
        view = index.view(connection, numbers)
        words = view.matching(question_terms("ferry"), 100)
        assert sum(row[0] for row in connection.exec_driver_sql("SELECT chunk_count FROM search_collections")) == words.ids.size
        return words.ids.size, sum(part.ids.size for part in view.partitions())


def rows(appliance, *tables: str) -> list[int]:
    with appliance.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables]


def run_out(appliance) -> None:
    with appliance.database.write() as connection:
        connection.execute(update(documents).values(lease_until_ms=0))


def test_nothing_is_found_before_everything_is_stored(appliance, service, put, alice, at_slice):
    put("other.txt", b"The other ferry is at sea.")
    kept, seen = SearchIndex(), []
    assert found(appliance, kept) == (1, 1)
    # `add` is inside the transaction of its slice: the slices before it are committed
    at_slice(4, lambda: seen.extend([found(appliance, kept), found(appliance, SearchIndex()), *rows(appliance, "chunks")]))
    document = put("long.md", LONG.encode())
    assert seen == [(1, 1), (1, 1), 1 + 12]
    assert (document.status, document.chunk_count) == (DocumentStatus.READY, PASSAGES)
    assert found(appliance, kept) == found(appliance, SearchIndex()) == (1 + PASSAGES, 1 + PASSAGES)
    assert rows(appliance, "search_hidden") == [0]


def test_a_crash_between_two_slices_leaves_nothing_to_be_found_and_the_next_worker_starts_anew(
    appliance, service, put, alice, at_slice
):
    document = put("long.md", LONG.encode(), ingest=False)

    def crash():
        raise KeyboardInterrupt

    at_slice(3, crash)
    with pytest.raises(KeyboardInterrupt):
        service.ingest(document.id, "worker")
    assert rows(appliance, "chunks", "search_hidden") == [8, 1]
    assert found(appliance, SearchIndex()) == (0, 0)
    service.ingest(document.id, "worker")
    assert found(appliance, SearchIndex()) == (PASSAGES, PASSAGES)
    assert rows(appliance, "chunks", "search_exact", "search_hidden") == [PASSAGES, PASSAGES, 0]


def test_what_a_dead_worker_left_is_removed_by_the_hourly_care(appliance, service, put, at_slice):
    document = put("long.md", LONG.encode(), ingest=False)

    def crash():
        raise KeyboardInterrupt

    at_slice(3, crash)
    with pytest.raises(KeyboardInterrupt):
        service.ingest(document.id, "worker")
    assert service.sweep_passages() == 8
    assert rows(appliance, "chunks", "search_exact", "search_hidden", "documents") == [0, 0, 0, 1]


def test_the_care_leaves_a_worker_alone_that_is_storing(appliance, service, put, alice, at_slice):
    with_lease: list[int] = []
    at_slice(1, lambda: None)
    document = put("long.md", LONG.encode(), ingest=False)
    stage = service._ingest._stage

    def cared_for(*arguments):
        first = stage(*arguments)
        with_lease.append(service.sweep_passages())
        return first

    service._ingest._stage = cared_for
    service.ingest(document.id, "worker")
    assert with_lease == [0]
    assert found(appliance, SearchIndex()) == (PASSAGES, PASSAGES)


def test_a_slow_worker_shows_nothing_of_what_was_swept_meanwhile(appliance, service, put, alice):
    document = put("long.md", LONG.encode(), ingest=False)
    stage = service._ingest._stage

    def overtaken(*arguments):
        first = stage(*arguments)
        run_out(appliance)
        assert service.sweep_passages() == PASSAGES
        return first

    service._ingest._stage = overtaken
    service.ingest(document.id, "worker")
    assert service.get(alice, document.id).status is not DocumentStatus.READY
    assert found(appliance, SearchIndex()) == (0, 0)
    service._ingest._stage = stage
    run_out(appliance)
    service.ingest(document.id, "worker")
    assert found(appliance, SearchIndex()) == (PASSAGES, PASSAGES)


def test_a_deleted_document_is_gone_for_everybody_before_its_passages_are_removed(appliance, service, put, alice, monkeypatch):
    put("other.txt", b"The other ferry is at sea.")
    document = put("long.md", LONG.encode())
    kept = SearchIndex()
    assert found(appliance, kept) == (1 + PASSAGES, 1 + PASSAGES)
    with monkeypatch.context() as patched:
        patched.setattr(slices, "sweep", lambda _: 0)  # the process dies after the first transaction
        service.delete(alice, document.id)
    with pytest.raises(NotFound):
        service.get(alice, document.id)
    assert [item.name for item in service.list(alice)] == ["other.txt"]
    assert found(appliance, kept) == found(appliance, SearchIndex()) == (1, 1)
    with appliance.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM chunks JOIN documents ON document_id = documents.id")).scalar() == 1
    again = put("long.md", LONG.encode())  # nothing stands in the way of the same file
    assert again.status is DocumentStatus.READY
    assert service.sweep_passages() == PASSAGES
    assert found(appliance, kept) == found(appliance, SearchIndex()) == (1 + PASSAGES, 1 + PASSAGES)


def test_a_large_document_leaves_nothing_when_it_is_deleted(appliance, service, put, alice):
    document = put("long.md", LONG.encode())
    answered(appliance, document.id)
    service.delete(alice, document.id)
    assert rows(appliance, *TABLES) == [0] * len(TABLES)
    with appliance.database.read() as connection:
        assert connection.execute(select(message_passages.c.chunk_id, message_passages.c.document_id)).all() == [(None, None)]


def test_a_document_can_be_deleted_while_it_is_stored(appliance, service, put, alice):
    document = put("long.md", LONG.encode(), ingest=False)
    stage = service._ingest._stage

    def deleted(*arguments):
        first = stage(*arguments)
        service.delete(alice, document.id)
        return first

    service._ingest._stage = deleted
    service.ingest(document.id, "worker")
    assert rows(appliance, *TABLES) == [0] * len(TABLES)
    assert found(appliance, SearchIndex()) == (0, 0)


def answered(appliance, document_id: str) -> None:
    """An answer that cites the document."""
    with appliance.database.write() as connection:
        person = connection.execute(text("SELECT id FROM principals")).scalars().first()
        chunk_id = connection.execute(select(chunks.c.id).where(chunks.c.document_id == document_id).limit(1)).scalar_one()
        connection.execute(
            text("INSERT INTO conversations(id, principal_id, title, created_ms, updated_ms) VALUES ('c', :p, '', 0, 0)"),
            {"p": person},
        )
        connection.execute(
            text(
                "INSERT INTO messages(id, conversation_id, ordinal, role, text, status, created_ms, passages_found, passages_used, "
                "prompt_tokens, completion_tokens, timing, stop_requested, attempts, lease_until_ms, selection) "
                "VALUES ('m', 'c', 1, 'assistant', '', 'DONE', 0, 1, 1, 0, 0, '{}', 0, 1, 0, '')"
            )
        )
        values = {"message_id": "m", "number": 1, "chunk_id": chunk_id, "document_id": document_id, "page": 1, "start": 0}
        connection.execute(message_passages.insert().values(end=1, score=1.0, **values))

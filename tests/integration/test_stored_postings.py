"""Long posting lists stored in one piece: they say what the full-text index says, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, insert

from appliance.retrieval import slices, stored_postings
from appliance.retrieval.index import SearchIndex, count_chunks, index_row
from appliance.retrieval.stored_postings import LONG, store_postings
from appliance.storage.database import Database
from appliance.storage.migrations import migrate
from appliance.storage.tables import chunks, collections, documents

TEXTS = ["the ferry and its harbour"] * LONG + ["a ferry with bread", "bread alone"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "test.db", b"k" * 32)
    migrate(opened)
    yield opened
    opened.close()


def add(connection: Connection, number: int, first: int, texts: list[str], *, hidden: bool = False) -> None:
    vectors = np.random.default_rng(first).standard_normal((len(texts), 384)).astype(np.float32)
    rows = [
        index_row(first + at, number, vectors[at], title="", heading="", text=text, signs=b"") for at, text in enumerate(texts)
    ]
    SearchIndex().add(connection, rows, hidden=hidden)


def found(database: Database, *terms: str, scope: frozenset[int] = frozenset({1})) -> list[tuple[int, float]]:
    """By an index that holds nothing yet."""
    with database.read() as connection:
        scores = SearchIndex().view(connection, scope).matching(terms, 1_000)
    return list(zip(scores.ids.tolist(), scores.scores.tolist(), strict=True))


def stored(database: Database) -> dict[tuple[int, str], int]:
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT collection_number, term, length(gaps) / width + 1 FROM search_postings").all()
    return {(row[0], row[1]): row[2] for row in rows}


def empty_the_full_text_index(database: Database) -> None:
    """So that only what is stored can be found."""
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO search_words(search_words) VALUES ('delete-all')")


@pytest.mark.parametrize("gap", [1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32])
def test_a_list_is_the_same_after_it_was_packed(gap):
    entries = np.array([7, 9, 9 + gap, 9 + gap + 3], np.uint64)
    unpacked = stored_postings._entries(*stored_postings._packed(entries))
    assert unpacked.tolist() == entries.tolist()


def test_only_long_lists_are_stored(database):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
        add(connection, 12, 500, TEXTS)
    assert store_postings(database) == 4
    assert stored(database) == {(number, term): LONG + (term == "ferri") for number in (1, 12) for term in ("ferri", "harbour")}
    assert store_postings(database) == 0


def test_a_search_finds_by_them_what_it_found_without_them(database):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
    before = found(database, "ferri", "bread", "harbour")
    assert len(before) == len(TEXTS)
    store_postings(database)
    assert found(database, "ferri", "bread", "harbour") == before
    empty_the_full_text_index(database)
    assert [chunk_id for chunk_id, _ in found(database, "ferri", "bread")] == list(range(100, 100 + LONG + 1))


def test_a_list_of_another_scope_is_not_read(database):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
    store_postings(database)
    assert found(database, "ferri", scope=frozenset({2})) == []


def test_what_is_added_later_is_found_and_the_lists_are_made_anew(database):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
    store_postings(database)
    with database.write() as connection:
        add(connection, 1, 900, ["another ferry"])
    assert 900 in dict(found(database, "ferri"))
    assert store_postings(database) == 2
    empty_the_full_text_index(database)
    assert 900 in dict(found(database, "ferri"))


def test_hidden_passages_are_in_no_list(database):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
        first = slices.reserve(connection, 1, "half", 2)
        add(connection, 1, first, ["a ferry to come", "a ferry that never comes"], hidden=True)
    store_postings(database)
    empty_the_full_text_index(database)
    assert len(found(database, "ferri")) == LONG + 1


def remove_at_once(connection: Connection) -> None:
    SearchIndex().remove(connection, "d")


def withdraw(connection: Connection) -> None:
    slices.withdraw(connection, "d")


def empty(connection: Connection) -> None:
    slices.withdraw_collection(connection, 1)


@pytest.mark.parametrize("leave", [remove_at_once, withdraw, empty])
def test_what_leaves_a_collection_takes_its_lists_along(database, leave):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
        add(connection, 2, 500, TEXTS)
        connection.execute(insert(collections).values(id="c1", number=1, name="c", created_ms=0))
        document = {"id": "d", "collection_id": "c1", "name": "d", "media_type": "text/plain", "size_bytes": 1, "sha256": "d"}
        connection.execute(insert(documents).values(**document, blob_name="d", uploaded_by="p", uploaded_ms=0, status="READY"))
        place = {"document_id": "d", "collection_id": "c1", "ordinal": 0, "page": 1, "start": 0, "end": 1, "token_count": 1}
        connection.execute(insert(chunks).values(id=100, **place, heading="", text=TEXTS[0]))
    store_postings(database)
    with database.write() as connection:
        leave(connection)
    assert {number for number, _ in stored(database)} == {2}
    assert 100 not in dict(found(database, "ferri"))


def test_a_collection_that_changes_while_its_lists_are_made_is_left_for_the_next_time(database, monkeypatch):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
    read = stored_postings.read_postings

    def read_and_change(*given):
        lists = read(*given)
        with database.write() as connection:
            count_chunks(connection, {1: 1})
        return lists

    monkeypatch.setattr(stored_postings, "read_postings", read_and_change)
    assert store_postings(database) == 0
    assert stored(database) == {}
    monkeypatch.undo()
    assert store_postings(database) == 2


def test_of_many_lists_the_rest_goes_with_the_sweep(database, monkeypatch):
    with database.write() as connection:
        add(connection, 1, 100, TEXTS)
        add(connection, 2, 500, TEXTS)
    store_postings(database)
    monkeypatch.setattr(stored_postings, "_REMOVED_AT_ONCE", 1)
    with database.write() as connection:
        slices.withdraw_collection(connection, 1)
    assert sorted(number for number, _ in stored(database)) == [1, 2, 2]
    assert found(database, "ferri") == []
    slices.sweep(database)
    assert [number for number, _ in stored(database)] == [2, 2]

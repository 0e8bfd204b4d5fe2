"""The search index on a real encrypted database: scope inside both queries, exact order, removal in the caller's transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Connection, insert, text

from appliance.retrieval.index import SearchIndex, index_row, merge_words
from appliance.retrieval.terms import question_terms
from appliance.storage.database import Database
from appliance.storage.migrations import migrate
from appliance.storage.tables import chunks, collections, documents

INDEX = SearchIndex()


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    opened = Database(tmp_path / "test.db", b"k" * 32)
    migrate(opened)
    yield opened
    opened.close()


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, 384)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def store(connection: Connection, collection: int, document: str, texts: list[str], vectors: np.ndarray) -> list[int]:
    """A document with these chunks, in the tables and in the index."""
    if not connection.execute(text("SELECT 1 FROM collections WHERE number = :n"), {"n": collection}).scalar():
        connection.execute(insert(collections).values(number=collection, id=f"c{collection}", name="c", created_ms=0))
    connection.execute(
        insert(documents).values(
            id=document,
            collection_id=f"c{collection}",
            name=document,
            media_type="text/plain",
            size_bytes=1,
            sha256=document,
            blob_name=document,
            uploaded_by="x",
            uploaded_ms=0,
            status="READY",
            stage="",
            percent=100,
            page_count=1,
            chunk_count=len(texts),
            attempts=0,
            lease_until_ms=0,
        )
    )
    connection.execute(
        insert(chunks),
        [
            {
                "document_id": document,
                "collection_id": f"c{collection}",
                "ordinal": at,
                "page": 1,
                "start": 0,
                "end": len(words),
                "heading": "",
                "text": words,
                "token_count": 1,
            }
            for at, words in enumerate(texts)
        ],
    )
    ids = list(
        connection.execute(text("SELECT id FROM chunks WHERE document_id = :d ORDER BY ordinal"), {"d": document}).scalars()
    )
    INDEX.add(
        connection,
        [
            index_row(chunk_id, collection, vectors[at], title=document, heading="", text=words, signs=b"s" * 24)
            for at, (chunk_id, words) in enumerate(zip(ids, texts, strict=True))
        ],
    )
    return ids


def matched(connection: Connection, scope: set[int], question: str) -> list[int]:
    return INDEX.view(connection, scope).matching(question_terms(question), 10).ids.tolist()


def test_an_empty_scope_finds_nothing(database):
    rng = np.random.default_rng(1)
    vectors = unit(rng, 3)
    with database.write() as connection:
        store(connection, 1, "d", ["apples grow", "pears grow", "plums"], vectors)
    with database.read() as connection:
        assert INDEX.view(connection, set()).nearest(vectors[0], 5).ids.size == 0
        assert matched(connection, set(), "apples") == []
        assert INDEX.view(connection, {2}).nearest(vectors[0], 5).ids.size == 0
        assert matched(connection, {2, 11, 10}, "apples") == []


def test_vectors_and_words_come_best_first(database):
    rng = np.random.default_rng(2)
    vectors = unit(rng, 3)
    filler = " ".join(f"word{n}" for n in range(90))
    with database.write() as connection:
        ids = store(connection, 1, "d", ["apples " + filler, "apples apples apples " + filler, "plums"], vectors)
    with database.read() as connection:
        near = INDEX.view(connection, {1}).nearest(vectors[2], 2)
        assert near.ids[0] == ids[2]
        assert near.scores[0] == pytest.approx(1.0, abs=1e-3)
        assert matched(connection, {1}, "which apple?") == [ids[1], ids[0]]


def test_the_scan_over_bits_loses_little(database):
    rng = np.random.default_rng(3)
    centres = unit(rng, 40)
    vectors = centres[rng.integers(0, 40, 3_000)] + 0.7 * unit(rng, 3_000)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with database.write() as connection:
        ids = np.array(store(connection, 1, "d", ["x"] * 3_000, vectors))
    recalls = []
    with database.read() as connection:
        for at in range(0, 3_000, 100):
            exact = ids[np.argsort(-(vectors @ vectors[at]))[:10]]
            found = INDEX.view(connection, {1}).nearest(vectors[at], 10).ids
            recalls.append(len(set(exact) & set(found)) / 10)
    assert np.mean(recalls) >= 0.97


def test_reading_partitions_agrees_with_the_extensions_own_search(database):
    """`nearest` reads sqlite-vec's chunk tables; this fails when a new version lays them out differently."""
    rng = np.random.default_rng(4)
    vectors = unit(rng, 700)
    with database.write() as connection:
        store(connection, 1, "kept", ["x"] * 300, vectors[:300])
        store(connection, 1, "gone", ["x"] * 200, vectors[300:500])
        store(connection, 2, "other", ["x"] * 200, vectors[500:])
        INDEX.remove(connection, "gone")
    with database.read() as connection:
        asked = np.packbits(vectors[7] > 0).tobytes()
        theirs = connection.exec_driver_sql(
            "SELECT chunk_id, distance FROM search_vectors WHERE bits MATCH vec_bit(?) AND k = 300 AND collection_number = 1",
            (asked,),
        ).fetchall()
        (partition,) = INDEX.view(connection, {1}).partitions()
        ours = partition.distances(np.frombuffer(asked, np.uint64))
        assert dict(zip(partition.ids.tolist(), ours.tolist(), strict=True)) == {row[0]: int(row[1]) for row in theirs}


def test_removal_is_part_of_the_callers_transaction(database):
    rng = np.random.default_rng(5)
    vectors = unit(rng, 2)
    with database.write() as connection:
        ids = store(connection, 1, "d", ["apples", "pears"], vectors)
    with pytest.raises(RuntimeError), database.write() as connection:
        INDEX.remove(connection, "d")
        raise RuntimeError
    with database.read() as connection:
        assert matched(connection, {1}, "apples") == [ids[0]]
        assert set(INDEX.view(connection, {1}).nearest(vectors[0], 5).ids.tolist()) == set(ids)
    with database.write() as connection:
        INDEX.remove(connection, "d")
        INDEX.remove(connection, "d")
        INDEX.remove(connection, "never there")
    with database.read() as connection:
        assert matched(connection, {1}, "apples") == []
        assert INDEX.view(connection, {1}).nearest(vectors[0], 5).ids.size == 0


def test_ten_thousand_chunks_are_removed_within_seconds(database):
    rng = np.random.default_rng(6)
    words = [f"word{n}" for n in range(3_000)]
    vectors = unit(rng, 10_000)
    texts = [" ".join(words[n] for n in rng.integers(0, 3_000, 25)) for _ in range(10_000)]
    with database.write() as connection:
        store(connection, 1, "big", texts, vectors)
    # processor time: what else runs on the machine says nothing about the index
    started = time.process_time()
    with database.write() as connection:
        INDEX.remove(connection, "big")
    spent_s = time.process_time() - started
    print(f"removal of 10,000 chunks: {spent_s:.2f} s")
    assert spent_s < 5
    with database.read() as connection:
        assert matched(connection, {1}, "word1 word2") == []
        for table in ("search_exact", "search_vectors", "search_pieces"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_merging_ends_and_changes_no_result(database):
    vectors = unit(np.random.default_rng(5), 40)
    for at in range(20):
        with database.write() as connection:
            store(connection, 1 + at % 2, f"d{at}", [f"the ferry of pier {at}", "bread"], vectors[2 * at : 2 * at + 2])
    terms = question_terms("the ferry at pier 7")
    with database.read() as connection:
        before = SearchIndex().view(connection, {1, 2}).matching(terms, 10)
        assert pieces(connection) > 1
    steps = 0
    more = True
    while more:
        with database.write() as connection:
            more = merge_words(connection)
        steps += 1
    assert 1 < steps < 20
    with database.read() as connection:
        after = SearchIndex().view(connection, {1, 2}).matching(terms, 10)
        assert pieces(connection) == 1
    assert after.ids.tolist() == before.ids.tolist()
    assert after.scores.tolist() == before.scores.tolist()


def pieces(connection: Connection) -> int:
    return connection.execute(text("SELECT count(DISTINCT segid) FROM search_words_idx")).scalar_one()


def test_fewer_passages_of_a_deleted_collection_make_no_row_of_it(database):
    with database.write() as connection:
        store(connection, 1, "d", ["apples", "pears"], unit(np.random.default_rng(7), 2))
        connection.exec_driver_sql("DELETE FROM search_collections")
        INDEX.remove(connection, "d")
        assert connection.exec_driver_sql("SELECT count(*) FROM search_collections").scalar() == 0

"""Nobody finds, and nobody is disturbed by, what lies outside their scope."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from appliance.errors import Denied
from appliance.identity.models import SYSTEM, Principal, Role
from appliance.inference.runtime import EmbeddedText
from appliance.policy.scope import Scope
from appliance.retrieval.index import SearchIndex, index_row
from appliance.retrieval.reranking import read_candidates
from appliance.retrieval.search import Search
from appliance.retrieval.terms import index_terms, question_terms
from appliance.storage.database import Database
from appliance.storage.migrations import migrate
from appliance.storage.tables import chunks, collections, documents

READER = Principal(id="reader", name="reader", pseudonym="r", roles=frozenset({Role.EMPLOYEE}))
WORDS = ["leave", "salary", "keys", "norm", "EN-1234/5", "休暇", "отпуск", "porter", "invoice", "roof"]
PASSAGES = st.lists(
    st.tuples(st.integers(1, 12), st.lists(st.sampled_from(WORDS), max_size=6), st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=40,
)


def vector(seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(384).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


class Granted:
    """Access with the scopes it was told."""

    def __init__(self, scopes: dict[str, set[int]]) -> None:
        self.scopes = scopes

    def scope(self, principal, action):
        numbers = self.scopes.get(principal.id, set())
        return Scope(frozenset(f"c{number}" for number in numbers), frozenset(numbers))


class Seeded:
    """Embeds a text as a vector of its own, and its first half as two pieces."""

    def embed(self, texts):
        return np.stack([vector(sum(text.encode("utf-8", "ignore")) + len(text)) for text in texts])

    def embed_pieces(self, texts):
        halves = (0, 1), (0, len(texts[0]) // 2)
        return [EmbeddedText(row, np.stack([vector(1), vector(2)]), halves) for row in self.embed(texts)]


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("scope") / "test.db", b"k" * 32)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def search(database) -> Search:
    """Twelve collections of three chunks each; the reader may read numbers 1, 2 and 11."""
    rows, kept = [], []
    for number in range(1, 13):
        for at in range(3):
            chunk_id = 1_000 + number * 10 + at
            text = f"The leave rules of office {number}, norm EN-1234/{number}, 有給休暇の申請 {WORDS[at]}."
            kept.append({"id": chunk_id, "document_id": f"d{number}", "collection_id": f"c{number}", "ordinal": at, "page": 1,
                         "start": 0, "end": len(text), "heading": "", "text": text, "token_count": 9})  # fmt: skip
            rows.append(
                index_row(
                    chunk_id, number, vector(chunk_id), title=f"Office {number}", heading="", text=text, signs=bytes(range(48))
                )
            )
    with database.write() as connection:
        connection.execute(
            insert(collections), [{"number": n, "id": f"c{n}", "name": f"c{n}", "created_ms": 0} for n in range(1, 13)]
        )
        connection.execute(
            insert(documents),
            [{"id": f"d{n}", "collection_id": f"c{n}", "name": f"d{n}", "media_type": "text/plain", "size_bytes": 1, "sha256": "0",
              "blob_name": "0", "uploaded_by": "x", "uploaded_ms": 0, "status": "READY", "chunk_count": 3} for n in range(1, 13)],
        )  # fmt: skip
        connection.execute(insert(chunks), kept)
        SearchIndex().add(connection, rows)
    return Search(database, Granted({"reader": {1, 2, 11}}), Seeded)


def test_without_a_person_there_is_no_search(search):
    with pytest.raises(TypeError):
        search.search(query="leave", limit=5)
    for nobody in (None, "reader", object()):
        with pytest.raises(Denied):
            search.search(nobody, "leave", 5)


def test_a_principal_without_scope_finds_nothing(search):
    assert search.search(SYSTEM, "leave", 5) == []


def test_a_collection_outside_the_scope_looks_empty(search):
    assert search.search(READER, "leave", 5, collection_id="c3") == []
    assert search.search(READER, "leave", 5, collection_id="never there") == []
    assert {hit.collection_id for hit in search.search(READER, "leave", 50, collection_id="c2")} == {"c2"}


def test_hits_are_whole_and_from_the_scope_only(search):
    hits = search.search(READER, "leave rules of the office", 50)
    assert len(hits) == 9
    assert {hit.collection_id for hit in hits} == {"c1", "c2", "c11"}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(-1.001 <= hit.similarity <= 1.001 and hit.words_score > 0 for hit in hits)


def test_the_second_stage_reads_nothing_outside_the_scope(database):
    """Asked for every chunk there is, neighbours of the scope's own included."""
    everything = np.arange(1_000, 1_200)
    with database.read() as connection:
        index = SearchIndex()
        assert read_candidates(index.view(connection, set()), everything) == []
        assert read_candidates(index.view(connection, {3_000}), everything) == []
        read = read_candidates(index.view(connection, {2, 11}), everything)
    assert [item.chunk_id for item in read] == [1_020, 1_021, 1_022, 1_110, 1_111, 1_112]
    assert [item.before for item in read] == [1_020, 1_020, 1_021, 1_110, 1_110, 1_111]
    assert [item.after for item in read] == [1_021, 1_022, 1_022, 1_111, 1_112, 1_112]
    assert all(item.signs for item in read)


def test_a_code_is_found_literally(search):
    assert {hit.collection_id for hit in search.search(READER, "EN-1234/11", 3)} == {"c11"}


@pytest.mark.parametrize(
    "query",
    ["", "   ", "?!", '"', '"leave', "leave*", "leave AND", "NOT", "NEAR(leave, 5", "tokens:leave", "^leave", "(", "'; DROP TABLE chunks", "-",
     "{leave}", "\x00", "leave\x00rules", "\ud800", "有給休暇", "قواعد الإجازة", "Правила отпуска", "कार्यालय", "😀", "_", "__1_leave", "1_leave",
     "the of and", "a" * 200_000, "leave " * 50_000, " ".join(f"w{n}" for n in range(20_000)), "\u202e\u200b\ufeff"],
    ids=lambda query: repr(query[:16]),
)  # fmt: skip
def test_no_query_fails_or_leaves_the_scope(search, query):
    hits = search.search(READER, query, 50)
    assert {hit.collection_id for hit in hits} <= {"c1", "c2", "c11"}


class _Undo(Exception):
    pass


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    passages=PASSAGES,
    scope=st.sets(st.integers(1, 12)),
    asked=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_foreign_chunks_change_nothing(database, passages, scope, asked, seed):
    """With a brute-force oracle: exactly what is in scope, in the same order and with the same scores as if nothing else existed."""
    rows = [
        index_row(at, number + 100, vector(own), title="", heading="", text=" ".join(words))
        for at, (number, words, own) in enumerate(passages, 1)
    ]  # fmt: skip
    numbers = {number + 100 for number in scope}
    ours = [row for row in rows if row.collection_number in numbers]
    terms, question = question_terms(" ".join(asked)), vector(seed)
    index = SearchIndex()
    with pytest.raises(_Undo), database.write() as connection:
        index.add(connection, ours)
        view = index.view(connection, numbers)
        alone = view.nearest(question, 10), view.words(terms)[0]
        index.add(connection, [row for row in rows if row.collection_number not in numbers])
        view = index.view(connection, numbers)
        near, words = view.nearest(question, 10), view.words(terms)[0]
        for before, after in zip(alone, (near, words), strict=True):
            assert before.ids.tolist() == after.ids.tolist()
            assert before.scores.tolist() == after.scores.tolist()
        texts = {at: " ".join(words) for at, (_, words, _) in enumerate(passages, 1)}
        assert set(words.ids.tolist()) == {row.chunk_id for row in ours if set(terms) & set(index_terms(texts[row.chunk_id]))}
        cosines = sorted((float(row.vector @ question) for row in ours), reverse=True)[:10]
        assert near.scores.tolist() == pytest.approx(cosines, abs=2e-3)
        raise _Undo

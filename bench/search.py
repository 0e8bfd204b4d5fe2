"""Search over 100,000 chunks against one bare matrix-vector product over the same vectors, interleaved in one run.

Prints one JSON line. `ratio` is p95 of `Search.search` without its second stage (scope, vectors, words, fusion, rows of the
best eight; the question's own embedding, 2 to 5 ms, is part of nothing) over p95 of `vectors @ question` in float32.
`everything_p95_ms` is the same search with the second stage, which reads texts and stored word pieces of the best of the
first. Text is drawn from a vocabulary with Zipf's distribution, function words included; vectors are mixtures around topics;
questions are made from existing chunks. Before every search something else is written to the database, as an audited
appliance does: page caches are as cold as in use. The full-text index has been merged and its long lists stored, as hourly.
Posting lists stay in memory once they were read, so the first hundred questions are reported apart: `first_ratio`; `ratio` is
that of the questions after them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select, update

from appliance.identity.models import Principal, Role
from appliance.inference.runtime import EmbeddedText
from appliance.policy.actions import Action
from appliance.policy.scope import Scope
from appliance.retrieval.index import SearchIndex, index_row, merge_words
from appliance.retrieval.search import Search
from appliance.retrieval.stored_postings import store_postings
from appliance.storage.database import Database
from appliance.storage.migrations import migrate
from appliance.storage.tables import chunks, collections, documents

DIMENSIONS = 384
COLLECTIONS = 5
DOCUMENT_CHUNKS = 200
VOCABULARY = 40_000
FIRST = 100
PIECES = 135  # of a passage of 160 tokens, without punctuation
ASKED_PIECES = 14
FUNCTION_WORDS = [
    "the", "of", "and", "in", "to", "a", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "he", "this",
    "are", "or", "his", "from", "at", "which", "but", "have", "an", "had", "they", "you", "were", "their", "one", "all", "we",
    "can", "her", "has", "there", "been", "if", "more", "when", "will", "would", "who", "so", "no",
]  # fmt: skip
PERSON = Principal(id="p", name="the night porter", pseudonym="p", roles=frozenset({Role.EMPLOYEE}))


class Everything:
    """An access check that costs what the real one costs in the database: it reads the collections on every search."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def scope(self, _principal: Principal, _action: Action) -> Scope:
        with self._database.read() as connection:
            rows = connection.execute(select(collections.c.id, collections.c.number)).all()
        return Scope(frozenset(row.id for row in rows), frozenset(row.number for row in rows))


class Prepared:
    """An embedder for questions that were embedded before."""

    def __init__(self) -> None:
        self._embedded: dict[str, EmbeddedText] = {}

    def prepare(self, text: str, vector: NDArray[np.float32], rng: np.random.Generator) -> None:
        pieces = rng.standard_normal((ASKED_PIECES, DIMENSIONS)).astype(np.float32)
        self._embedded[text] = EmbeddedText(vector, pieces, tuple((at, at + 1) for at in range(ASKED_PIECES)))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._embedded[text].vector for text in texts])

    def embed_pieces(self, texts: Sequence[str]) -> list[EmbeddedText]:
        return [self._embedded[text] for text in texts]


def made_vocabulary(rng: np.random.Generator) -> list[str]:
    syllables = [first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s", "l")]
    words: dict[str, None] = dict.fromkeys(FUNCTION_WORDS)
    while len(words) < VOCABULARY:
        words["".join(rng.choice(syllables, rng.integers(1, 5)))] = None
    return list(words)


def made_vectors(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Each chunk mixes a broad topic, a narrow one and something of its own."""
    broad = rng.standard_normal((60, DIMENSIONS)).astype(np.float32)
    narrow = rng.standard_normal((4_000, DIMENSIONS)).astype(np.float32)
    kind = rng.integers(0, len(narrow), count)
    vectors = 0.6 * broad[kind % len(broad)] + 0.8 * narrow[kind]
    vectors += 0.7 * rng.standard_normal((count, DIMENSIONS)).astype(np.float32)
    return unit(vectors)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def fill(
    database: Database, rng: np.random.Generator, count: int, vectors: NDArray[np.float32]
) -> tuple[list[list[int]], list[str]]:
    words = made_vocabulary(rng)
    chances = 1.0 / (np.arange(len(words)) + 2.7)
    cumulated = np.cumsum(chances / chances.sum())
    index, sampled = SearchIndex(), []
    with database.write() as connection:
        rows = [{"number": number, "id": f"c{number}", "name": "c", "created_ms": 0} for number in range(1, COLLECTIONS + 1)]
        connection.execute(insert(collections), rows)
    for first in range(0, count, DOCUMENT_CHUNKS):
        number = 1 + (first // DOCUMENT_CHUNKS) % COLLECTIONS
        size = min(DOCUMENT_CHUNKS, count - first)
        drawn = np.minimum(np.searchsorted(cumulated, rng.random((size, 130))), len(words) - 1)
        texts = [" ".join(words[at] for at in row) for row in drawn]
        sampled += [row[:40].tolist() for row in drawn]
        with database.write() as connection:
            name = f"document {first}"
            values = {"id": name, "collection_id": f"c{number}", "name": name, "sha256": name, "blob_name": name}
            values |= {"chunk_count": size}
            values |= {"media_type": "text/plain", "size_bytes": 1, "uploaded_by": "p", "uploaded_ms": 0, "status": "READY"}
            connection.execute(insert(documents).values(**values))
            shared = {"document_id": name, "collection_id": f"c{number}", "page": 1, "start": 0, "end": 1, "token_count": 160}
            connection.execute(
                insert(chunks), [{"id": first + at, "ordinal": at, "text": text, **shared} for at, text in enumerate(texts)]
            )
            signs = [rng.bytes(24 * PIECES) for _ in texts]
            index.add(
                connection,
                [
                    index_row(first + at, number, vectors[first + at], title=name, heading="", text=text, signs=signs[at])
                    for at, text in enumerate(texts)
                ],
            )
    more = True
    while more:
        with database.write() as connection:
            more = merge_words(connection)
    store_postings(database)
    return [[word for word in row if word >= len(FUNCTION_WORDS)] for row in sampled], words


def measure(count: int, questions: int, directory: Path) -> dict[str, float]:
    rng = np.random.default_rng(20261120)
    vectors = made_vectors(rng, count)
    database = Database(directory / "bench.db", b"k" * 32)
    migrate(database)
    started = time.perf_counter()
    drawn = fill(database, rng, count, vectors)
    filled_s = time.perf_counter() - started
    figures = ask(database, rng, vectors, drawn, questions)
    database.close()
    return {"chunks": count, "questions": questions, "fill_s": round(filled_s, 1), **figures}


def ask(
    database: Database,
    rng: np.random.Generator,
    vectors: NDArray[np.float32],
    drawn: tuple[list[list[int]], list[str]],
    count: int,
) -> dict[str, float]:
    sampled, words = drawn
    embedder, index = Prepared(), SearchIndex()
    search = Search(database, Everything(database), lambda: embedder, index, reranked=0)
    everything = Search(database, Everything(database), lambda: embedder, index)
    bare_ms, search_ms, everything_ms, recalls = [], [], [], []
    for turn in range(FIRST + count):
        at = int(rng.integers(0, len(vectors)))
        asked = list(dict.fromkeys(sampled[at]))[: int(rng.integers(3, 9))]
        query = "what is the " + " ".join(words[word] for word in asked) + "?"
        vector = unit(vectors[at] + 0.04 * rng.standard_normal(DIMENSIONS).astype(np.float32))
        embedder.prepare(query, vector, rng)
        with database.write() as connection:
            connection.execute(update(documents).where(documents.c.id == "document 0").values(percent=turn % 100))
        started = time.perf_counter()
        exact = vectors @ vector
        between = time.perf_counter()
        hits = search.search(PERSON, query, 8)
        ended = time.perf_counter()
        assert len(hits) == len(everything.search(PERSON, query, 8)) == 8
        everything_ms.append(1_000 * (time.perf_counter() - ended))
        bare_ms.append(1_000 * (between - started))
        search_ms.append(1_000 * (ended - between))
        with database.read() as connection:
            found = index.view(connection, set(range(1, COLLECTIONS + 1))).nearest(vector, 10).ids
        recalls.append(len(set(found.tolist()) & set(np.argpartition(-exact, 10)[:10].tolist())) / 10)
    first, bare, searched = (np.array(part) for part in (search_ms[:FIRST], bare_ms[FIRST:], search_ms[FIRST:]))
    p95 = float(np.percentile(bare_ms, 95))
    return {
        "numpy_p50_ms": round(float(np.percentile(bare, 50)), 2),
        "numpy_p95_ms": round(p95, 2),
        "search_p50_ms": round(float(np.percentile(searched, 50)), 2),
        "search_p95_ms": round(float(np.percentile(searched, 95)), 2),
        "everything_p50_ms": round(float(np.percentile(everything_ms[FIRST:], 50)), 2),
        "everything_p95_ms": round(float(np.percentile(everything_ms[FIRST:], 95)), 2),
        "recall_at_10": round(float(np.mean(recalls)), 4),
        "first_ratio": round(float(np.percentile(first, 95)) / p95, 3),
        "ratio": round(float(np.percentile(searched, 95)) / p95, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(
            json.dumps(
                {
                    "bench": "search",
                    **measure(given.chunks, given.questions, Path(directory)),
                    "target": 1.5,
                    "everything_target_ms": 60,
                }
            )
        )


if __name__ == "__main__":
    main()

"""What is written with digits or as a name is found as written, whatever else a passage has in common with the question."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import insert

from appliance.identity.models import Principal, Role
from appliance.inference.runtime import EmbeddedText
from appliance.policy.scope import Scope
from appliance.retrieval.index import SearchIndex, index_row
from appliance.retrieval.pieces import packed_pieces
from appliance.retrieval.search import Search
from appliance.storage.database import Database
from appliance.storage.migrations import migrate
from appliance.storage.tables import chunks, collections, documents

READER = Principal(id="reader", name="reader", pseudonym="r", roles=frozenset({Role.EMPLOYEE}))
PUMPS = [
    f"The pump of hall {hall} has the code KX-{4_400 + hall}/7, was checked on {hall} March 2024, and costs {4_350 + hall}.50 euros "
    f"at the dealer of {town}. The pump of a hall is checked once a year, and its code stands on the housing."
    for hall, town in enumerate(
        ["Aalen", "Bremen", "Celle", "Dessau", "Emden", "Fulda", "Gera", "Husum", "Ilmenau", "Jena", "Kiel", "Lindau"], 1
    )
]


class ByWords:
    """Each word is one piece, alike only to itself; a text is the sum of its words."""

    def embed(self, texts):
        return np.stack([text.vector for text in self.embed_pieces(texts)])

    def embed_pieces(self, texts):
        return [self._one(text) for text in texts]

    def _one(self, text):
        words = text.casefold().split()
        pieces = np.stack([np.random.default_rng(zlib.crc32(word.encode())).standard_normal(384) for word in words])
        vector = pieces.sum(axis=0)
        return EmbeddedText(
            (vector / np.linalg.norm(vector)).astype(np.float32), pieces.astype(np.float32), ((0, 1),) * len(words)
        )


class All:
    def scope(self, _principal, _action):
        return Scope(frozenset({"c1"}), frozenset({1}))


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> Iterator[Search]:
    opened = Database(tmp_path_factory.mktemp("literal") / "test.db", b"k" * 32)
    migrate(opened)
    embedder = ByWords()
    with opened.write() as connection:
        connection.execute(insert(collections), [{"number": 1, "id": "c1", "name": "c1", "created_ms": 0}])
        shared = {"document_id": "d", "collection_id": "c1", "page": 1, "start": 0, "end": 1, "heading": "", "token_count": 60}
        document = {"id": "d", "collection_id": "c1", "name": "d", "media_type": "text/plain", "size_bytes": 1, "sha256": "0"}
        document |= {"blob_name": "0", "uploaded_by": "x", "uploaded_ms": 0, "status": "READY", "chunk_count": len(PUMPS)}
        connection.execute(insert(documents), [document])
        connection.execute(
            insert(chunks), [{"id": at, "ordinal": at - 1, "text": text, **shared} for at, text in enumerate(PUMPS, 1)]
        )
        rows = [
            index_row(at, 1, read.vector, title="d", heading="", text=text, signs=packed_pieces(read))
            for at, (text, read) in enumerate(zip(PUMPS, embedder.embed_pieces(PUMPS), strict=True), 1)
        ]
        SearchIndex().add(connection, rows)
    yield Search(opened, All(), lambda: embedder)
    opened.close()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which pump has the code KX-4407/7?", "KX-4407/7"),
        ("kx-4411/7", "KX-4411/7"),
        ("Which pump costs 4353.50 euros?", "4353.50"),
        ("Which pump was checked on 9 March 2024?", " 9 March 2024"),
        ("What does the pump cost at the dealer of Husum?", "Husum"),
        ("What is the price of the pump of hall 12?", "hall 12"),
    ],
)
def test_it_comes_first(search, question, expected):
    assert expected in search.search(READER, question, 1)[0].text

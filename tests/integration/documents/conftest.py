"""A document service with real storage, policy, audit and index; only the embedder is a small fast stand-in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from appliance.administration.retention import Retention
from appliance.bootstrap import Appliance
from appliance.chat import expiring as old_conversations
from appliance.documents.models import Document
from appliance.documents.service import DocumentService
from appliance.identity.models import Principal
from appliance.retrieval import slices
from appliance.retrieval.index import SearchIndex
from tests.conftest import EVERYBODY
from tests.growing_old import Time


class HashedWords:
    """Tokens are words; a text's vector is drawn from its digest. `on_embed` is called before each batch."""

    max_tokens = 254

    def __init__(self) -> None:
        self.on_embed: Callable[[], None] = lambda: None
        self.batches: list[int] = []

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]

    def count_tokens(self, text: str) -> int:
        return len(self.token_spans(text))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.on_embed()
        self.batches.append(len(texts))
        rows = [np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])) for text in texts]
        vectors = np.stack([row.standard_normal(384) for row in rows]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def embedder() -> HashedWords:
    return HashedWords()


@pytest.fixture
def service(appliance: Appliance, embedder: HashedWords) -> DocumentService:
    return DocumentService(
        database=appliance.database,
        blobs=appliance.blobs,
        audit=appliance.audit,
        access=appliance.access,
        settings=appliance.settings,
        embedder_factory=lambda: embedder,
        index=SearchIndex(),
    )


@pytest.fixture
def alices(appliance: Appliance, alice: Principal) -> str:
    """The collection of alice's own."""
    return next(entry.id for entry in appliance.collections.readable(alice) if entry.owner_id == alice.id)


@pytest.fixture
def shared(appliance: Appliance, administrator: Principal) -> str:
    """A collection that everybody reads and fills."""
    return appliance.collections.create(administrator, "Handbook", readers=EVERYBODY, contributors=EVERYBODY)


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is removed in many transactions waits for no other process between them."""
    monkeypatch.setattr(slices, "PAUSE_S", 0)
    monkeypatch.setattr(old_conversations, "_PAUSE_S", 0)


Put = Callable[..., Document]


@pytest.fixture
def put(service: DocumentService, alice: Principal, alices: str) -> Put:
    """Upload a file as alice and, unless told otherwise, ingest it."""

    def uploaded(name: str, content: bytes, *, ingest: bool = True) -> Document:
        upload = service.begin_upload(alice, alices, name)
        for start in range(0, len(content), 10_000):
            upload.write(content[start : start + 10_000])
        document, _ = upload.commit()
        if ingest:
            service.ingest(document.id, "worker")
            return service.get(alice, document.id)
        return document

    return uploaded


@pytest.fixture
def time(appliance: Appliance) -> Time:
    return Time(appliance)


@pytest.fixture
def retention(appliance: Appliance, time: Time) -> Retention:
    return Retention(appliance.database, appliance.access, appliance.audit, time.clock)

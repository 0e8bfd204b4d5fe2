"""Embedding through the Ollama of this machine: allowed for everything or not at all, never cut, never another model unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, update

from appliance.administration.embedding import index_states
from appliance.audit.store import AuditFilter, search
from appliance.bootstrap import Appliance
from appliance.documents.models import DocumentStatus
from appliance.egress.seal.layers import Strength
from appliance.errors import ApplianceError, Denied
from appliance.inference import ollama as ollama_package
from appliance.inference.embedder import load_embedder
from appliance.inference.selection.embedding import require_allowed
from appliance.inference.selection.records import SelectionRecord, write_record
from appliance.inference.store import connecting
from appliance.inference.store.connecting import Told
from appliance.inference.store.embedding_form import EmbeddingForm
from appliance.inference.store.versions import ModelVersion
from appliance.inference.stub import InsecureStubWarning, StubEmbedder
from appliance.storage.tables import collections, conversations, messages
from tests.scripted_server import Answer, Asked, ScriptedServer

ABOUT = {
    "general.architecture": "nomic-bert",
    "general.parameter_count": 136_727_040,
    "general.license": "apache-2.0",
    "nomic-bert.context_length": 2048,
    "nomic-bert.embedding_length": 16,
    "nomic-bert.pooling_type": 1,
}
ROOM = 40  # words that it reads at once


@dataclass
class Ollama:
    """Words hashed into a vector; more than `ROOM` of them are too long. `rows` takes over what it gives."""

    about: dict[str, Any] = field(default_factory=lambda: dict(ABOUT))
    digest: str = "d" * 64
    listed: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    rows: Any = None
    sent: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked, answer: Answer) -> None:
        match asked.path:
            case "/api/show":
                answer.json({"model_info": self.about, "capabilities": ["embedding"]})
            case "/api/tags":
                answer.json(
                    {"models": [{"model": "nomic:latest", "digest": self.digest, "size": 1_000, "details": {}, **self.listed}]}
                )
            case "/api/embed":
                texts = asked.body["input"]
                self.sent += texts
                assert asked.body["truncate"] is False
                if self.status != 200:
                    answer.json({"error": "no room"}, self.status)
                elif any(len(text.split()) > ROOM for text in texts):
                    answer.json({"error": "the input length exceeds the context length"}, 400)
                else:
                    answer.json({"embeddings": self.rows or [vector(text) for text in texts]})
            case _:
                answer.json({"error": "not found"}, 404)


def vector(text: str) -> list[float]:
    found = np.full(16, 1e-3)
    for word in text.lower().split():
        found[hashlib.sha256(word.strip(".?").encode()).digest()[0] % 16] += 1
    return [float(number) for number in found]


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ollama]:
    script = Ollama()
    with ScriptedServer(script).running() as server:
        monkeypatch.setattr(ollama_package, "DEFAULT_ADDRESS", server.address)
        yield script


@pytest.fixture
def version(appliance: Appliance, administrator, ollama: Ollama) -> ModelVersion:
    return appliance.model_importing.connect(administrator, "ollama:nomic", Told(name="nomic-embed-text-v1.5"), None)


@pytest.fixture
def allowed(appliance: Appliance) -> Appliance:
    """A box whose policy lets Ollama have everything."""
    rules = {
        name: replace(rule, runtimes=(*rule.runtimes, "ollama"), seal=Strength.NONE)
        for name, rule in appliance.routing.rules.items()
    }
    appliance.routing = replace(appliance.routing, rules=rules)
    return appliance


def code_of(act) -> str:
    with pytest.raises(ApplianceError) as refused:
        act()
    return refused.value.stable_code


def upload(box: Appliance, person, text: str) -> None:
    collection = next(item.id for item in box.collections.readable(person) if item.owner_id == person.id)
    with box.documents.begin_upload(person, collection, f"{len(text)}.txt") as file:
        file.write(text.encode())
        document, _ = file.commit()
    box.documents.ingest(document.id, "test")


# refusals -----------------------------------------------------------------------------------------------------------------


def test_the_policy_as_it_is_shipped_lets_no_server_embed_and_nothing_is_sent(appliance, administrator, ollama, version):
    assert code_of(lambda: appliance.model_administration.activate(administrator, version.id)) == "inference.embedding_forbidden"
    assert code_of(lambda: appliance.embedders.coming(version.id)) == "inference.embedding_forbidden"
    assert len(index_states(appliance.database)) == 1
    assert ollama.sent == []
    with appliance.database.read() as connection:
        (record,) = search(connection, AuditFilter(event="model.activated"), limit=5)
    assert (record.outcome, record.facts) == ("failure", {"reason": "inference.embedding_forbidden"})


def test_what_earlier_answers_drew_on_counts_since_follow_up_questions_repeat_it(allowed, alice, ollama, version):
    with allowed.database.write() as connection:
        connection.execute(insert(conversations).values(id="c", principal_id=alice.id, title="", created_ms=1, updated_ms=1))
        told = write_record(SelectionRecord("cosmic"))
        given = {"id": "m", "conversation_id": "c", "ordinal": 1, "role": "assistant", "status": "DONE", "created_ms": 1}
        connection.execute(insert(messages).values(**given, selection=told))
    assert code_of(lambda: allowed.embedders.coming(version.id)) == "inference.embedding_forbidden"
    assert ollama.sent == []


@pytest.mark.parametrize("classification", ["public", "internal", "confidential", "secret"])
def test_one_classification_that_does_not_allow_it_is_enough(allowed, version, classification):
    require_allowed(version, allowed.routing, Strength.NONE, ())
    rules = dict(allowed.routing.rules)
    rules[classification] = replace(rules[classification], runtimes=("llamacpp",))
    with pytest.raises(Denied) as refused:
        require_allowed(version, replace(allowed.routing, rules=rules), Strength.NAMESPACE, ())
    assert refused.value.data["classification"] == classification
    sealed = {name: replace(rule, seal=Strength.NAMESPACE) for name, rule in allowed.routing.rules.items()}
    assert code_of(lambda: require_allowed(version, replace(allowed.routing, rules=sealed), Strength.FILTER, ())).endswith(
        "forbidden"
    )
    require_allowed(replace(version, format="gguf"), replace(allowed.routing, rules=rules), Strength.NONE, ())


def test_a_collection_that_the_policy_does_not_know_stops_it_at_once(allowed, administrator, alice, ollama, version):
    embedder = allowed.embedders.coming(version.id)
    embedder.embed(["gate"])
    sent = len(ollama.sent)
    with allowed.database.write() as connection:
        connection.execute(update(collections).values(classification="cosmic"))
    for act in (lambda: embedder.embed(["gate"]), lambda: embedder.embed_question("gate")):
        assert code_of(act) == "inference.embedding_forbidden"
    assert len(ollama.sent) == sent


def test_another_model_under_the_same_name_is_sent_nothing_nor_one_that_computes_elsewhere_by_now(allowed, ollama, version):
    embedder = allowed.embedders.coming(version.id)
    sent, ollama.digest = len(ollama.sent), "e" * 64
    assert code_of(lambda: embedder.embed(["gate"])) == "setup.model_digest"
    ollama.digest, ollama.listed = "d" * 64, {"remote_host": "https://ollama.com:443", "remote_model": "nomic"}
    assert code_of(lambda: embedder.embed(["gate"])) == "inference.no_model"
    assert len(ollama.sent) == sent
    ollama.listed = {}
    assert embedder.embed(["gate"]).shape == (1, 16)


@pytest.mark.parametrize(
    "rows", [[], [[1.0] * 15], [[None] * 16], [["a"] * 16], [[0.0] * 16], [[1.0] * 16] * 2, [1.0] * 16, {"a": 1}]
)
def test_what_is_no_vector_is_refused(allowed, ollama, version, rows):
    embedder = allowed.embedders.coming(version.id)
    ollama.rows = rows or [[]]
    assert code_of(lambda: embedder.embed(["gate"])) == "inference.failed"


def test_embedding_models_of_servers_elsewhere_are_not_connected(appliance, administrator, monkeypatch):
    seen = connecting._Seen("big", connecting._facts(ABOUT, "F16", 2048))  # noqa: SLF001
    monkeypatch.setattr(connecting, "_at_destination", lambda *_: seen)
    connect = lambda: appliance.model_importing.connect(administrator, "destination:lan:big", Told(), None)  # noqa: E731
    assert code_of(connect) == "model.embedder_elsewhere"
    assert appliance.models.versions() == []


def test_a_model_that_ranks_pairs_is_not_connected(appliance, administrator, ollama):
    ollama.about["nomic-bert.pooling_type"] = 4
    connect = lambda: appliance.model_importing.connect(administrator, "ollama:nomic", Told(), None)  # noqa: E731
    assert code_of(connect) == "model.pooling"
    assert appliance.models.versions() == []


def test_without_somebody_to_ask_a_model_in_a_server_embeds_nothing(appliance, ollama, version):
    assert code_of(lambda: load_embedder(appliance.models, threads=1, model_id=version.id)) == "setup.embedder"


# where it is allowed ------------------------------------------------------------------------------------------------------


def test_what_the_server_says_and_the_catalogue_is_recorded(version):
    assert (version.kind, version.format, version.architecture, version.context_tokens) == (
        "embedding",
        "served",
        "nomic-bert",
        2048,
    )
    assert version.form == EmbeddingForm("mean", 16, "search_query: ", "search_document: ")
    assert version.vectors_sha256 != version.sha256 == "d" * 64


def test_a_text_that_is_too_long_is_divided_and_never_cut(allowed, ollama, version):
    embedder = allowed.embedders.coming(version.id)
    short = "gate " * 20
    ollama.sent.clear()
    (whole,) = embedder.embed([short + "tomato " * 60])
    assert max(len(text.split()) for text in ollama.sent[-2:]) <= ROOM
    assert sum(text.split().count("tomato") for text in ollama.sent if len(text.split()) <= ROOM) == 60
    assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-5)
    assert whole @ embedder.embed(["tomato"])[0] > whole @ embedder.embed(["gate"])[0]
    assert embedder.embed([]).shape == (0, 16)


def test_it_takes_over_an_index_waits_for_a_server_that_is_busy_and_answers_searches(
    allowed, administrator, alice, ollama, version, monkeypatch
):
    box, load = allowed, allowed.embedders._load  # noqa: SLF001
    with pytest.warns(InsecureStubWarning):
        stub = StubEmbedder()
    monkeypatch.setattr(box.embedders, "_load", lambda model_id: load(model_id) if model_id else stub)
    for text in ("The porter locks the gate.", "Tomatoes want sun."):
        upload(box, alice, text)
    box.model_administration.activate(administrator, version.id)
    ollama.status = 503
    assert code_of(box.reembedding.run) == "inference.busy"
    assert box.reembedding.pending_ids()
    ollama.status = 200
    box.reembedding.run()
    (index,) = index_states(box.database)
    assert (index.model_id, index.sha256, index.dimensions) == (version.id, version.vectors_sha256, 16)
    assert box.search.search(alice, "Who locks the gate?", 1)[0].text == "The porter locks the gate."
    assert "search_query: Who locks the gate?" in ollama.sent
    with box.database.write() as connection:
        connection.execute(update(collections).values(classification="cosmic"))
    sent = len(ollama.sent)
    assert code_of(lambda: box.search.search(alice, "Who locks the gate?", 1)) == "inference.embedding_forbidden"
    upload(box, alice, "The canteen opens at noon.")
    (failed,) = [item for item in box.documents.list(alice) if item.status is DocumentStatus.FAILED]
    assert (failed.reason_code, len(ollama.sent)) == ("inference.embedding_forbidden", sent)

"""Another embedding model takes over: behind the one that serves, in pieces that can be lost, at one moment, or not at all.

All parts are real but the models: stand-ins with a digest and a dimension of their own.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import select, text

from appliance.documents import reembedding as passes
from appliance.documents.models import DocumentStatus
from appliance.documents.reembedding import Reembedding
from appliance.documents.service import DocumentService
from appliance.documents.windows import windows
from appliance.errors import Conflict, Denied, SetupError, Unavailable
from appliance.inference.runtime import EmbeddedText
from appliance.inference.store import records
from appliance.inference.store.versions import ModelVersion, SizeClass, VersionState
from appliance.retrieval import indexes
from appliance.retrieval.index import SearchIndex
from appliance.retrieval.index_progress import progress
from appliance.retrieval.indexes import EmbedderChanged, IndexState
from appliance.retrieval.search import Search
from appliance.storage.tables import audit_events, chunks

WORDS = "harbour lantern orchard velvet granite sparrow ledger compass walnut ferry".split()


class Model:
    """Vectors of words in so many dimensions, turned by a seed: two of these never compare. Pieces where asked for."""

    def __init__(self, name: str, dimensions: int, max_tokens: int = 254) -> None:
        self.sha256 = hashlib.sha256(name.encode()).hexdigest()
        self.dimensions, self.max_tokens, self.seed = dimensions, max_tokens, zlib.crc32(name.encode())
        self.on_embed = lambda: None
        self.read: list[str] = []

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        spans, at = [], 0
        for word in text.split():
            at = text.index(word, at)
            spans.append((at, at + len(word)))
            at += len(word)
        return spans

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.on_embed()
        self.read += texts
        return np.array([self._vector(words) for words in texts], np.float32).reshape(-1, self.dimensions)

    def _vector(self, words: str) -> np.ndarray:
        vector = sum((self._word(word) for word in words.lower().split()), np.zeros(self.dimensions) + 1e-3)
        return vector / np.linalg.norm(vector)

    def _word(self, word: str) -> np.ndarray:
        return np.random.default_rng([self.seed, zlib.crc32(word.strip(".").encode())]).standard_normal(self.dimensions)


class WithPieces(Model):
    def embed_pieces(self, texts: Sequence[str]) -> list[EmbeddedText]:
        found = []
        for vector, words in zip(self.embed(texts), texts, strict=True):
            spans = tuple(self.token_spans(words))
            pieces = np.array([self._word(words[a:b]) for a, b in spans], np.float32).reshape(-1, self.dimensions)
            found.append(EmbeddedText(vector, pieces, spans))
        return found


class Box:
    """Two embedding models on one appliance: `old@1` serves, `new@1` is a candidate."""

    def __init__(self, appliance, administrator, alice) -> None:
        self.appliance, self.administrator, self.alice = appliance, administrator, alice
        self.old, self.new = WithPieces("old", 384), Model("new", 100)
        self.by_id = {"old@1": self.old, "new@1": self.new}
        self.models = appliance.model_administration
        appliance.models.content.holds = lambda _: True  # versions without files
        with appliance.database.write() as connection:
            for name, model, state in (("old", self.old, VersionState.ACTIVE), ("new", self.new, VersionState.CANDIDATE)):
                records.insert_version(connection, version(name, model.sha256, state))
            indexes.record_model(connection, "old@1", self.old.sha256)
        appliance.__dict__["embedders"] = self
        self.index = SearchIndex()
        self.search = Search(appliance.database, appliance.access, self.serving, self.index)
        self.collection = next(item.id for item in appliance.collections.readable(alice) if item.owner_id == alice.id)
        self.documents: DocumentService = appliance.documents
        self.passes: Reembedding = appliance.reembedding
        self.failing: set[str] = set()

    def serving(self) -> Model:
        with self.appliance.database.read() as connection:
            return self.by_id[indexes.serving(connection).model_id]

    def coming(self, model_id: str) -> Model:
        if model_id in self.failing:
            raise SetupError("The file of the model is damaged.", code="setup.model_digest")
        return self.by_id[model_id]

    def release(self) -> None:
        pass

    def put(self, name: str, *paragraphs: str) -> str:
        with self.documents.begin_upload(self.alice, self.collection, name) as upload:
            upload.write("\n\n".join(paragraphs).encode())
            document, _ = upload.commit()
        self.documents.ingest(document.id, "worker")
        assert self.documents.get(self.alice, document.id).status is DocumentStatus.READY
        return document.id

    def state(self) -> dict[int, tuple[str, str]]:
        with self.appliance.database.read() as connection:
            return {item.number: (item.model_id, item.state.value) for item in indexes.all_indexes(connection)}

    def count(self, table: str) -> int:
        with self.appliance.database.read() as connection:
            return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()

    def found(self, question: str) -> list[str]:
        return [hit.text.split(".")[0] for hit in self.search.search(self.alice, question, 3)]

    def events(self) -> list[tuple[str, str, dict]]:
        with self.appliance.database.read() as connection:
            rows = connection.execute(select(audit_events).order_by(audit_events.c.seq)).all()
        return [
            (row.event, row.outcome, json.loads(row.body).get("facts", {}))
            for row in rows
            if row.event.startswith(("embedding.", "model.activated"))
        ]


def version(name: str, sha256: str, state: VersionState, **more) -> ModelVersion:
    given = dict(
        id="", kind="embedding", name=name, number=0, format="onnx", quantisation="int8", architecture="bert", parameters_m=1.0,
        size_class=SizeClass.MICRO, context_tokens=256, memory_mb=1, licence="MIT", sha256=sha256, size_bytes=1, source="a test",
        state=state,
    )  # fmt: skip
    return ModelVersion(**given | more)


@pytest.fixture
def box(appliance, administrator, alice, monkeypatch) -> Box:
    monkeypatch.setattr(passes, "BATCH", 4)
    monkeypatch.setattr(indexes, "PAUSE_S", 0)
    return Box(appliance, administrator, alice)


def paragraphs(count: int, mark: str = "") -> list[str]:
    """Each a passage of its own: about 160 words."""
    return [
        f"The {word}{at}{mark} is told of here. " + f"{word}{at}{mark} " * 140
        for at in range(count)
        for word in (WORDS[at % 10],)
    ]


# refusals -----------------------------------------------------------------------------------------------------------------


def test_only_whoever_may_activate_models_may_begin_or_abandon(box):
    for act in (lambda: box.models.activate(box.alice, "new@1"), lambda: box.models.abandon(box.alice, "new@1")):
        with pytest.raises(Denied):
            act()
    with pytest.raises(Denied):
        box.models.indexes(box.alice)
    assert box.state() == {1: ("old@1", "serving")}


def test_what_cannot_take_over_is_refused(box):
    def code(act) -> str:
        with pytest.raises(Conflict) as refused:
            act()
        return refused.value.stable_code

    with box.appliance.database.write() as connection:
        records.insert_version(connection, version("other", "f" * 64, VersionState.CANDIDATE, format="genai"))
    assert code(lambda: box.models.activate(box.administrator, "other@1")) == "model.embedder_format"
    assert code(lambda: box.models.activate(box.administrator, "old@1")) == "model.active"
    assert code(lambda: box.models.abandon(box.administrator, "new@1")) == "model.nothing_embedding"
    box.models.activate(box.administrator, "new@1")
    assert code(lambda: box.models.activate(box.administrator, "new@1")) == "model.embedding_running"
    assert code(lambda: box.models.delete(box.administrator, "new@1")) == "model.embedding_running"
    assert code(lambda: box.models.retire(box.administrator, "new@1")) == "model.embedding_running"
    assert code(lambda: box.models.retire(box.administrator, "old@1")) == "model.last_active"


def test_a_vector_of_another_model_is_neither_compared_nor_stored(box):
    box.put("a.txt", *paragraphs(2))
    scope = box.appliance.access.scope(box.alice, "document:read").numbers
    with box.appliance.database.read() as connection:
        for made_by in ("", box.new.sha256):
            with pytest.raises(EmbedderChanged):
                box.index.view(connection, scope, made_by=made_by)
    stubborn = Search(box.appliance.database, box.appliance.access, lambda: box.new)
    with pytest.raises(EmbedderChanged) as refused:
        stubborn.search(box.alice, "harbour0", 3)
    assert refused.value.stable_code == "search.embedder_changed"
    with pytest.raises(EmbedderChanged), box.appliance.database.write() as connection:
        box.index.add(connection, [], made_by=box.new.sha256)


def test_a_model_that_does_not_load_gives_up_and_says_so(box):
    box.put("a.txt", *paragraphs(2))
    box.failing.add("new@1")
    box.models.activate(box.administrator, "new@1")
    box.passes.run()
    assert box.state() == {1: ("old@1", "serving")}
    assert box.events()[-1][:2] == ("embedding.abandoned", "failure")
    assert box.events()[-1][2]["reason"] == "setup.model_digest"
    assert box.found("harbour0")[0] == "The harbour0 is told of here"


def test_a_model_that_fails_at_a_passage_gives_up_and_says_so(box):
    box.put("a.txt", *paragraphs(6))
    box.models.activate(box.administrator, "new@1")

    def fail() -> None:
        if box.count("search_exact_2"):
            raise Unavailable("The embedding model gives numbers that are none.", code="inference.failed")

    box.new.on_embed = fail
    box.passes.run()
    assert box.state() == {1: ("old@1", "serving")}
    assert box.events()[-1][:2] == ("embedding.abandoned", "failure")
    assert box.events()[-1][2]["reason"] == "inference.failed"
    assert box.passes.pending_ids() == []


# the way there ------------------------------------------------------------------------------------------------------------


def test_the_old_model_answers_until_everything_is_embedded_and_then_the_new_one_does(box):
    box.put("a.txt", *paragraphs(10))
    box.put("b.txt", *paragraphs(3, "b"))
    version = box.models.activate(box.administrator, "new@1")
    assert version.state is VersionState.CANDIDATE
    assert box.appliance.models.active("embedding").id == "old@1"
    seen = []

    def look() -> None:
        (serving, building) = box.models.indexes(box.administrator)
        seen.append((serving.model_id, building.documents, building.documents_done, building.passages_done))
        assert box.found("lantern1b")[0] == "The lantern1b is told of here"

    box.new.on_embed = look
    box.passes.run()
    box.new.on_embed = lambda: None
    total = box.count("chunks")
    assert {model for model, *_ in seen} == {"old@1"}
    assert [done for *_, done in seen] == sorted(done for *_, done in seen)
    assert 0 < seen[-1][3] < total
    assert box.state() == {2: ("new@1", "serving")}
    (serving,) = box.models.indexes(box.administrator)
    assert (serving.sha256, serving.dimensions, serving.complete, serving.passages) == (box.new.sha256, 100, True, total)
    assert box.count("search_exact_2") == total
    assert box.appliance.models.active("embedding").id == "new@1"
    states = {item.id: (item.state.value, item.replaced) for item in box.appliance.models.versions()}
    assert states == {"old@1": ("retired", None), "new@1": ("active", "old@1")}
    assert box.found("lantern1b")[0] == "The lantern1b is told of here"
    begun, activated = box.events()
    assert begun[0] == "embedding.begun"
    assert (begun[2]["passages"], begun[2]["before"], begun[2]["sha256"]) == (total, "old@1", box.new.sha256)
    assert activated[0] == "model.activated"
    assert (activated[2]["replaced"], activated[2]["dimensions"]) == ("old@1", 100)
    with box.appliance.database.read() as connection:
        names = set(connection.execute(text("SELECT name FROM sqlite_master WHERE name LIKE 'search_%'")).scalars())
    assert not names & {"search_exact", "search_vectors", "search_pieces"}, "the old vectors are swept away"
    # and back again: the former model is embedded with once more, under tables of its own
    box.models.rollback(box.administrator, "new")
    assert box.appliance.models.active("embedding").id == "new@1"
    box.passes.run()
    assert box.state() == {3: ("old@1", "serving")}
    assert box.count("search_pieces_3") == total
    assert box.found("lantern1b")[0] == "The lantern1b is told of here"


def test_an_upload_in_the_middle_is_found_before_and_after(box):
    box.put("a.txt", *paragraphs(6))
    box.models.activate(box.administrator, "new@1")
    added = []

    def upload() -> None:
        box.new.on_embed = lambda: None
        added.append(box.put("late.txt", *paragraphs(2, "late")))
        assert box.found("harbour0late")[0] == "The harbour0late is told of here"

    box.new.on_embed = upload
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}
    assert box.found("harbour0late")[0] == "The harbour0late is told of here"
    assert box.count("search_exact_2") == box.count("chunks") == 8
    box.put("later.txt", *paragraphs(1, "later"))
    assert box.count("search_exact_2") == 9
    assert box.found("harbour0later")[0] == "The harbour0later is told of here"


def test_an_upload_that_ends_just_before_the_switch_is_embedded_first(box, monkeypatch):
    box.put("a.txt", *paragraphs(2))
    box.models.activate(box.administrator, "new@1")
    look, added = indexes.outstanding, []

    def looked(connection, number):
        found = look(connection, number)
        if found is None and not added:  # between the look and the write lock
            added.append(box.put("late.txt", *paragraphs(1, "late")))
        return found

    monkeypatch.setattr(indexes, "outstanding", looked)
    box.passes.run()
    assert added
    assert box.state() == {2: ("new@1", "serving")}
    assert box.count("search_exact_2") == 3
    assert box.found("harbour0late")[0] == "The harbour0late is told of here"


def test_a_deletion_in_the_middle_leaves_nothing_in_either_index(box):
    kept = box.put("kept.txt", *paragraphs(3, "kept"))
    gone = box.put("gone.txt", *paragraphs(9, "gone"))
    box.models.activate(box.administrator, "new@1")

    def delete() -> None:
        if any("gone" in words for words in box.new.read[:-1]) and box.count("search_exact_2") > 3:
            box.new.on_embed = lambda: None
            box.documents.delete(box.alice, gone)
            # its numbers are free, and another document takes them at once
            box.put("next.txt", *paragraphs(2, "next"))

    box.new.on_embed = delete
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}
    assert box.count("search_exact_2") == box.count("chunks") == 5
    assert box.count("search_vectors_2") == 5
    with box.appliance.database.read() as connection:
        marked = set(connection.execute(text("SELECT document_id FROM search_indexed")).scalars())
        assert kept in marked and gone not in marked
        assert (
            connection.execute(text("SELECT count(*) FROM search_exact_2 WHERE chunk_id NOT IN (SELECT id FROM chunks)")).scalar()
            == 0
        )
    assert box.found("harbour0next")[0] == "The harbour0next is told of here"


def test_work_that_dies_at_any_batch_goes_on_from_there(box):
    box.put("a.txt", *paragraphs(11))
    box.models.activate(box.administrator, "new@1")

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    for stored in (4, 8):
        calls = iter(range(10))
        box.new.on_embed = lambda: die() if next(calls) == 1 else None
        with pytest.raises(Killed):
            box.passes.run()
        assert box.count("search_exact_2") == stored
    box.new.on_embed = lambda: None
    box.passes.run()
    assert box.state() == {2: ("new@1", "serving")}
    assert box.count("search_exact_2") == box.count("search_vectors_2") == 11
    counted = [sum(words.startswith(f"The {WORDS[at % 10]}{at} ") for words in box.new.read) for at in range(11)]
    assert counted == [1] * 11, "what was stored is not embedded again"


def test_uploads_go_first(box):
    box.put("a.txt", *paragraphs(9))
    box.models.activate(box.administrator, "new@1")
    waiting = iter([False, True])
    box.passes.run(lambda: next(waiting))
    assert box.count("search_exact_2") == 4
    assert box.passes.pending_ids() == ["2"]
    box.passes.run()
    assert box.passes.pending_ids() == []


def test_what_is_abandoned_goes_and_nothing_else_changes(box):
    box.put("a.txt", *paragraphs(9))
    box.models.activate(box.administrator, "new@1")
    before = box.found("harbour0")

    def abandon() -> None:
        if box.count("search_exact_2") >= 4:
            box.new.on_embed = lambda: None
            box.models.abandon(box.administrator, "new")

    box.new.on_embed = abandon
    box.passes.run()
    assert box.state() == {1: ("old@1", "serving")}
    assert box.found("harbour0") == before
    name, outcome, facts = box.events()[-1]
    assert (name, outcome, facts["passages_done"]) == ("embedding.abandoned", "success", 4)
    assert box.appliance.models.active("embedding").id == "old@1"
    box.models.activate(box.administrator, "new@1")  # another try gets another number, whatever a worker still holds
    box.passes.run()
    assert box.state() == {3: ("new@1", "serving")}
    box.models.delete(box.administrator, "old@1")


def test_a_document_that_was_being_stored_at_the_switch_is_read_once_more(box):
    box.put("a.txt", *paragraphs(2))
    box.models.activate(box.administrator, "new@1")

    def switch() -> None:
        box.old.on_embed = lambda: None
        box.passes.run()

    with box.documents.begin_upload(box.alice, box.collection, "b.txt") as upload:
        upload.write("\n\n".join(paragraphs(2, "b")).encode())
        document, _ = upload.commit()
    box.old.on_embed = switch
    box.documents.ingest(document.id, "worker")
    assert box.state() == {2: ("new@1", "serving")}
    assert box.documents.get(box.alice, document.id).status is DocumentStatus.PENDING
    assert box.documents.pending_ids() == [document.id]
    box.documents.ingest(document.id, "worker")
    assert box.documents.get(box.alice, document.id).status is DocumentStatus.READY
    assert box.count("search_exact_2") == 4
    assert box.found("harbour0b")[0] == "The harbour0b is told of here"


def test_searches_at_the_moment_of_the_switch_see_one_model_or_the_other(box):
    box.put("a.txt", *paragraphs(8))
    box.models.activate(box.administrator, "new@1")
    over, wrong, asked = threading.Event(), [], []

    def ask() -> None:
        while not over.is_set():
            found = box.found("granite4")
            asked.append(box.serving().dimensions)
            if found[:1] != ["The granite4 is told of here"]:
                wrong.append(found)

    people = [threading.Thread(target=ask) for _ in range(3)]
    for person in people:
        person.start()
    box.passes.run()
    while asked[-1:] != [100]:
        over.wait(0.01)
    over.set()
    for person in people:
        person.join()
    assert not wrong
    assert set(asked) == {384, 100}


# what another model cannot read at once, and what was indexed before --------------------------------------------------------


def test_a_passage_longer_than_the_models_window_is_embedded_by_its_windows(box):
    box.by_id["new@1"] = box.new = Model("new", 100, max_tokens=60)
    box.put("a.txt", *paragraphs(2))
    box.models.activate(box.administrator, "new@1")
    box.passes.run()
    assert max(len(words.split()) for words in box.new.read) <= 60
    assert box.found("harbour0")[0] == "The harbour0 is told of here"
    with box.appliance.database.read() as connection:
        counted = list(connection.execute(text("SELECT token_count FROM search_exact_2")).scalars())
        lengths = [len(words.split()) for words in connection.execute(select(chunks.c.text)).scalars()]
    assert counted == lengths, "lengths are those of the new model"
    (first, *_) = box.search.search(box.alice, "harbour0", 3)
    assert first.token_count == len(first.text.split())


def test_windows_leave_nothing_out_and_fit():
    model = Model("any", 8, max_tokens=5)
    for words in ("", "one", "one two three four five", "one two three four five six", " ".join(WORDS * 3)):
        parts = windows(model, words)
        assert "".join(part for part, _ in parts) == words
        assert all(count <= 5 for _, count in parts)
        assert [count for _, count in parts] == [len(part.split()) for part, _ in parts]


def test_documents_without_word_pieces_get_them_in_the_background(box):
    box.put("a.txt", *paragraphs(6))
    box.put("b.txt", *paragraphs(1, "b"))
    with box.appliance.database.write() as connection:
        connection.execute(text("DELETE FROM search_pieces"))
        connection.execute(text("DELETE FROM search_indexed"))
        connection.execute(text("UPDATE search_indexes SET complete = 0"))
    assert box.passes.pending_ids() == ["1"]
    waiting = iter([False, True])
    box.passes.run(lambda: next(waiting, False))
    vectors = box.count("search_exact")
    box.passes.run()
    assert box.passes.pending_ids() == []
    assert box.count("search_pieces") == box.count("search_exact") == vectors == 7
    assert box.state() == {1: ("old@1", "serving")}
    with box.appliance.database.read() as connection:
        assert [(item.complete, item.documents_done, item.percent) for item in progress(connection)] == [(True, 2, 100)]
    assert box.events()[-1][0] == "embedding.completed"


def test_the_migration_leaves_to_the_background_what_was_indexed_before_pieces(box):
    from appliance.storage.versions import v0010_embedding_indexes as migration
    from appliance.storage.versions import v0013_index_comparisons as later

    with_pieces, without = box.put("a.txt", *paragraphs(2)), box.put("b.txt", *paragraphs(2, "b"))
    with box.appliance.database.write() as connection:
        connection.execute(
            text("DELETE FROM search_pieces WHERE chunk_id IN (SELECT id FROM chunks WHERE document_id = :d)"), {"d": without}
        )
        for statement in (
            "DROP TABLE index_comparisons", "DROP TABLE search_indexes", "DROP TABLE search_indexed", "ALTER TABLE search_exact DROP COLUMN token_count",
        ):  # fmt: skip
            connection.execute(text(statement))
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        with Operations.context(MigrationContext.configure(connection)):
            migration.upgrade()
            later.upgrade()
        assert list(connection.execute(text("SELECT document_id FROM search_indexed")).scalars()) == [with_pieces]
        (index,) = indexes.all_indexes(connection)
        assert (index.number, index.sha256, index.dimensions, index.state, index.complete) == (
            1,
            "",
            384,
            IndexState.SERVING,
            False,
        )

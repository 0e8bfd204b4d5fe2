"""Embedding models in GGUF files: what is refused at the door, and that llama.cpp gives the vectors ONNX Runtime gives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.administration.embedding import index_states
from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.model_lines import line_of
from appliance.errors import ApplianceError, SetupError
from appliance.inference.embedder import load_embedder
from appliance.inference.embedding_reference import embed_exactly, load_weights
from appliance.inference.llamacpp import embedder as llamacpp
from appliance.inference.llamacpp.embedder import GgufEmbedder
from appliance.inference.models import Model
from appliance.inference.runtime import EmbedsPieces
from appliance.inference.sources import EMBEDDING_WEIGHTS, locate
from appliance.inference.store import ModelStore
from appliance.inference.store.embedding_form import CLS, LAST, MEAN, EmbeddingForm
from appliance.inference.store.gguf import read_gguf
from appliance.inference.store.importing import Order
from appliance.inference.store.incoming import gguf_facts
from appliance.settings import Settings
from tests.bert_samples import minilm_gguf, tiny_bert
from tests.unit.inference.gguf_samples import METADATA, gguf, write

TEXTS = ["The night porter locks the north gate at ten.", "Tomatoes want sun.", "Invoices are paid on Fridays."]
ODD = [
    *TEXTS,
    "Überstunden im Café, ÉCOLE naïve: 5.000,50 € (brutto)!",
    "东京 tower 北京市",
    "don't re-use C++20/#5 $10 a_b 😀",
    "Cold store temperatures are written down every four hours, and by hand when the sensor fails. " * 4,
]


def opened(path: Path, form: EmbeddingForm | None = None, context_tokens: int = 0) -> GgufEmbedder:
    facts = gguf_facts(read_gguf(path))
    model = Model("m@1", "embedding", "", "d" * 64, 0, "GGUF", context_tokens or facts.context_tokens, "", active=False)
    return GgufEmbedder(model, path, form or facts.form, 2)


# refusals -----------------------------------------------------------------------------------------------------------------

REFUSED = {
    "a ranking of pairs": ({"bert__pooling_type": 4}, "model.pooling"),
    "vectors of tokens alone": ({"bert__pooling_type": 0}, "model.pooling"),
    "unknown pooling": ({"bert__pooling_type": 77}, "model.pooling"),
    "pooling in words": ({"bert__pooling_type": "mean"}, "model.pooling"),
    "no numbers": ({"bert__embedding_length": 0}, "model.dimensions"),
    "a million numbers": ({"bert__embedding_length": 1_000_000}, "model.dimensions"),
    "more numbers than it has": ({"bert__embedding_length": 64}, "inference.load_failed"),
    "more places than it has": ({"bert__context_length": 4_096}, "inference.load_failed"),
    "numbers that are none": ({"scale": float("nan")}, "inference.failed"),
    "nothing but zeros": ({"scale": 0.0}, "inference.failed"),
    "an unknown tokenizer": ({"tokenizer__ggml__model": "of its own"}, "inference.load_failed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_embed_is_refused_with_a_reason(appliance, administrator, tmp_path, case):
    changed, code = REFUSED[case]
    with pytest.raises(ApplianceError) as refused:
        appliance.model_importing.take_in(administrator, tiny_bert(tmp_path / "odd.gguf", **changed), Order())
    assert refused.value.stable_code == code
    assert appliance.models.versions() == []


def test_vectors_of_another_length_than_recorded_are_refused(tmp_path):
    with pytest.raises(SetupError) as refused:
        opened(tiny_bert(tmp_path / "tiny.gguf"), EmbeddingForm(MEAN, 384))
    assert refused.value.stable_code == "setup.embedder"


# what a file is -----------------------------------------------------------------------------------------------------------


def test_an_embedder_is_known_by_what_its_file_says_not_by_its_name(tmp_path):
    def facts(**more):
        return gguf_facts(read_gguf(write(tmp_path / "embedding-model.gguf", gguf(METADATA | more))))

    assert (facts().kind, facts().form) == ("language", None)
    pooled = facts(**{"llama.pooling_type": 3})
    assert (pooled.kind, pooled.form) == ("embedding", EmbeddingForm(LAST, 64))
    bert = gguf_facts(read_gguf(tiny_bert(tmp_path / "chat.gguf", bert__pooling_type=None)))
    assert (bert.kind, bert.form, bert.context_tokens) == ("embedding", EmbeddingForm(MEAN, 32), 64)


def test_what_the_file_says_is_recorded_with_the_version(appliance, administrator, tmp_path):
    source = tiny_bert(tmp_path / "tiny.gguf", bert__pooling_type=2)
    version = appliance.model_importing.take_in(administrator, source, Order(encrypt=True))
    assert (version.kind, version.format, version.architecture, version.licence) == ("embedding", "gguf", "bert", "Apache-2.0")
    assert version.form == EmbeddingForm(CLS, 32)
    assert version.vectors_sha256 == version.sha256
    assert version.measured["dimensions"] == 32
    embedder = load_embedder(appliance.models, threads=1, model_id=version.id)
    assert (embedder.sha256, embedder.dimensions, embedder.max_tokens) == (version.sha256, 32, 62)
    assert np.allclose(embedder.embed(TEXTS), opened(source, EmbeddingForm(CLS)).embed(TEXTS), atol=1e-5)
    assert not np.allclose(embedder.embed(TEXTS), opened(source, EmbeddingForm(MEAN)).embed(TEXTS), atol=1e-2)


# vectors ------------------------------------------------------------------------------------------------------------------


def test_nothing_is_cut_off_a_text_that_is_longer_than_the_window(tmp_path):
    embedder = opened(tiny_bert(tmp_path / "tiny.gguf"))
    halves = ["a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2, "9 8 7 6 5 4 3 2 1 0 " * 3]
    first, second, whole, cut = embedder.embed([halves[0][: 2 * 56], halves[1][: 2 * 56], halves[0] + halves[1], halves[0]])
    assert embedder.count_tokens(halves[0] + halves[1]) > embedder.max_tokens
    assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-5)
    assert whole @ second > cut @ second
    assert whole @ first > second @ first


def test_what_the_catalogue_says_of_a_model_is_recorded_with_it(appliance, administrator, tmp_path):
    source = tiny_bert(tmp_path / "tiny.gguf")
    version = appliance.model_importing.take_in(administrator, source, Order(name="nomic-embed-text-v1.5"))
    assert version.form == EmbeddingForm(MEAN, 32, "search_query: ", "search_document: ")
    assert (version.context_tokens, version.licence) == (64, "Apache-2.0")
    assert line_of(version).endswith(
        ", vectors of 32 numbers, mean, search_query: before questions, search_document: before passages"
    )
    embedder = load_embedder(appliance.models, threads=1, model_id=version.id)
    assert embedder.sha256 == version.vectors_sha256 != version.sha256
    assert np.allclose(embedder.embed(["gate"]), opened(source).embed(["search_document: gate"]), atol=1e-5)


def test_what_stands_before_questions_and_passages_is_read_and_counts(tmp_path):
    path = tiny_bert(tmp_path / "tiny.gguf")
    plain, prefixed = opened(path), opened(path, EmbeddingForm(MEAN, 32, "q, ", "passage, "))
    assert prefixed.max_tokens == plain.max_tokens - len("passage,")
    assert np.allclose(prefixed.embed(["gate"]), plain.embed(["passage, gate"]), atol=1e-5)
    assert np.allclose(prefixed.embed_question("gate").vector, plain.embed(["q, gate"])[0], atol=1e-5)
    assert np.allclose(plain.embed_question("gate").vector, plain.embed(["gate"])[0], atol=1e-5)


@pytest.fixture(scope="module")
def minilm(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return minilm_gguf(tmp_path_factory.mktemp("gguf") / "minilm.gguf")


@pytest.mark.models
def test_vectors_and_tokens_are_those_of_the_same_model_elsewhere(minilm, models_dir):
    """One model from the same weights, through llama.cpp, ONNX Runtime with eight bits, and plain arithmetic."""
    ours, other = opened(minilm), load_embedder(ModelStore(models_dir), threads=2)
    weights = load_weights(locate(EMBEDDING_WEIGHTS))
    for text, vector, beside in zip(ODD, ours.embed(ODD), other.embed(ODD), strict=True):
        assert ours.count_tokens(text) == other.count_tokens(text) == len(ours.token_spans(text))
        assert float(vector @ embed_exactly(weights, other.token_ids(text))) > 0.999
        assert float(vector @ beside) > 0.985
    alone = np.concatenate([ours.embed([text]) for text in ODD])
    assert np.all((alone * ours.embed(ODD)).sum(axis=1) > 0.9999)
    assert ours.embed([]).shape == (0, 384)


@pytest.mark.models
def test_spans_stand_in_the_text_in_order_and_are_exact_to_the_word(minilm):
    text = "The  Überstunden, 东京\ttower.\n" + "word " * 2_000
    spans = opened(minilm).token_spans(text)
    assert len(spans) > 2_000
    assert {text[start:end] for start, end in spans} >= {"The", "word"}
    assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))


# in the place of the default model ----------------------------------------------------------------------------------------


@pytest.fixture
def box(own_models: None, appliance: Appliance) -> Appliance:
    return appliance


@pytest.mark.models
def test_it_takes_over_an_index_answers_without_word_pieces_and_does_so_after_a_start(box, minilm, monkeypatch):
    monkeypatch.setattr(llamacpp, "WINDOW_TOKENS", 24)  # shorter than a passage
    administrator = box.setup.complete(box.setup.make_link(), "administrator", "a long enough passphrase")
    collection = next(item.id for item in box.collections.readable(administrator) if item.owner_id == administrator.id)
    long = "The cold store is checked every four hours, also at night. " * 6 + "The sprinklers are tested in May."
    for at, text in enumerate([*TEXTS, long]):
        with box.documents.begin_upload(administrator, collection, f"{at}.txt") as upload:
            upload.write(text.encode())
            document, _ = upload.commit()
        box.documents.ingest(document.id, "test")
    version = box.model_importing.take_in(administrator, minilm, Order(name="from-a-stick"))
    box.model_administration.activate(administrator, version.id)
    box.reembedding.run()
    (index,) = index_states(box.database)
    assert (index.model_id, index.sha256, index.dimensions) == (version.id, version.sha256, 384)

    def found(appliance: Appliance, question: str) -> str:
        return appliance.search.search(administrator, question, 4)[0].text

    assert not isinstance(box.embedder, EmbedsPieces)
    assert found(box, "When is the gate closed?") == TEXTS[0]
    again = open_appliance(box.settings)
    try:
        assert (again.embedder.sha256, again.models.active("embedding").id) == (version.sha256, version.id)
        assert found(again, "When are bills settled?") == TEXTS[2]
        with again.documents.begin_upload(administrator, collection, "new.txt") as upload:
            upload.write(b"The canteen opens at noon.")
            document, _ = upload.commit()
        again.documents.ingest(document.id, "test")
        assert found(again, "When can one have lunch?") == "The canteen opens at noon."
        path = again.models.content.file_path(version.sha256)
        changed = bytearray(path.read_bytes())
        changed[-1] ^= 1
        path.write_bytes(changed)
        with pytest.raises(SetupError) as refused:
            load_embedder(again.models, threads=1, model_id=version.id)
        assert refused.value.stable_code == "setup.model_digest"
    finally:
        again.close()

"""The eight-bit embedder on the real model, against exact arithmetic."""

from __future__ import annotations

import os

import numpy as np
import pytest

from appliance.inference.embedder import Embedder, load_embedder, open_embedder
from appliance.inference.embedding_reference import embed_exactly, load_weights
from appliance.inference.sources import EMBEDDING_WEIGHTS, locate
from appliance.inference.store import ModelStore
from appliance.inference.store.embedding_form import EmbeddingForm
from appliance.inference.telemetry import OPT_OUTS

pytestmark = pytest.mark.models

TEXTS = [
    "The night porter locks the east gate at ten.",
    "Overtime is paid at one and a half times the hourly rate, or taken as time off within three months.",
    "Wartung",
    "Cold store temperatures are written down every four hours, and by hand when the sensor fails. " * 4,
]


@pytest.fixture(scope="module")
def embedder(models_dir) -> Embedder:
    return load_embedder(ModelStore(models_dir), threads=2)


def test_vectors_agree_with_exact_arithmetic(embedder: Embedder):
    weights = load_weights(locate(EMBEDDING_WEIGHTS))
    for text, vector in zip(TEXTS, embedder.embed(TEXTS), strict=True):
        assert float(vector @ embed_exactly(weights, embedder.token_ids(text))) >= 0.99


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(embedder: Embedder):
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    # activations are quantised per batch, so the last digits differ
    assert np.all((together * alone).sum(axis=1) > 0.99)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS), embedder.dimensions)


def test_meaning_is_near_and_the_unrelated_is_far(embedder: Embedder):
    question, near, far = embedder.embed(["When is the gate closed?", TEXTS[0], TEXTS[1]])
    assert question @ near > question @ far + 0.2


def test_counting_and_spans_do_not_stop_at_the_limit_of_the_model(embedder: Embedder):
    text = "word " * 1000
    assert embedder.count_tokens(text) == 1000
    assert len(embedder.token_spans(text)) == 1000
    assert embedder.token_spans(text)[-1] == (4995, 4999)
    assert len(embedder.token_ids(text)) == embedder.max_tokens + 2


def test_text_beyond_the_limit_does_not_count(embedder: Embedder):
    whole = "word " * embedder.max_tokens
    vectors = embedder.embed([whole, whole + "and something else entirely"])
    assert vectors[0] @ vectors[1] > 0.999


def test_spans_are_character_offsets(embedder: Embedder):
    text = "Überstunden im Café"
    assert {text[start:end] for start, end in embedder.token_spans(text)} >= {"im", "Café"}


def test_no_texts_give_no_vectors(embedder: Embedder):
    assert embedder.embed([]).shape == (0, embedder.dimensions)
    assert np.isfinite(embedder.embed([""])).all()


def test_telemetry_is_off_before_the_library_is_used(embedder: Embedder):
    assert {name: os.environ.get(name) for name in OPT_OUTS} == dict(OPT_OUTS)


def test_pieces_come_from_the_same_run_and_stand_where_they_are_written(embedder: Embedder):
    """Their spans hold letters or digits, as many as the vectors; a long text is cut where its vector is."""
    texts = [*TEXTS, "Gate 7, (east)!", "...", "word " * 1000]
    read = embedder.embed_pieces(texts)
    for text, own, vector in zip(texts, read, embedder.embed(texts), strict=True):
        assert float(own.vector @ vector) > 0.999
        assert own.pieces.shape == (len(own.spans), embedder.dimensions)
        assert all(any(map(str.isalnum, text[start:end])) for start, end in own.spans)
    assert [texts[4][start:end] for start, end in read[4].spans] == ["Gate", "7", "east"]
    assert read[5].spans == ()
    assert len(read[6].spans) == embedder.max_tokens


def test_pieces_of_what_stands_before_a_text_are_none_of_its_own(models_dir):
    store = ModelStore(models_dir)
    model = store.active("embedding")
    form = EmbeddingForm(question_prefix="query: ", passage_prefix="passage of text: ")
    told = open_embedder(model, store.verified_path(model), store.verified_tokenizer(), 2, form)
    text = "Überstunden im Café"
    plain = load_embedder(store, threads=2).embed_pieces([text])[0]
    for read in (told.embed_pieces([text])[0], told.embed_question(text)):
        assert (read.spans, read.pieces.shape) == (plain.spans, plain.pieces.shape)
        assert not np.allclose(read.vector, plain.vector, atol=1e-2)


def test_a_piece_is_likest_to_itself_in_another_sentence(embedder: Embedder):
    one, other = embedder.embed_pieces(["The porter locks the gate.", "A gate is opened by the night porter."])
    asked = one.pieces / np.linalg.norm(one.pieces, axis=1, keepdims=True)
    found = other.pieces / np.linalg.norm(other.pieces, axis=1, keepdims=True)
    words = ["A", "gate", "is", "opened", "by", "the", "night", "porter"]
    best = [words[at] for at in (asked @ found.T).argmax(axis=1)]
    assert [best[1], best[4]] == ["porter", "gate"]

"""Stored signs of word pieces rank passages as the full vectors of the pieces would."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.inference.runtime import EmbeddedText
from appliance.retrieval.pieces import embedded, likeness, packed_pieces, piece_weights

RNG = np.random.default_rng(11)


def text_of(pieces: np.ndarray) -> EmbeddedText:
    return EmbeddedText(np.zeros(384, np.float32), pieces.astype(np.float32), tuple((0, 0) for _ in pieces))


class WholeTexts:
    """An embedder that knows no pieces."""

    def embed(self, texts):
        return np.ones((len(texts), 384), np.float32)


def test_an_embedder_without_pieces_stores_none():
    (only,) = embedded(WholeTexts(), ["a"])
    assert only.vector.shape == (384,)
    assert packed_pieces(only) == b""


def test_a_passage_that_holds_the_questions_pieces_is_most_like_it():
    asked = RNG.standard_normal((3, 384))
    near = asked + 0.5 * RNG.standard_normal((3, 384))
    other = RNG.standard_normal((40, 384))
    stored = [packed_pieces(text_of(pieces)) for pieces in (other, np.vstack([other, near]), near[:1])]
    assert len(stored[2]) == 24
    scores = likeness(asked.astype(np.float32), np.full(3, 1 / 3, np.float32), stored)
    assert scores.argmax() == 1
    assert scores[1] > 0.5 > scores[0]
    only_first = likeness(asked.astype(np.float32), np.array([1, 0, 0], np.float32), stored)
    assert only_first[2] == pytest.approx(only_first[1])


def test_likeness_is_that_of_the_signs():
    asked, passage = RNG.standard_normal((2, 384)).astype(np.float32), RNG.standard_normal((5, 384))
    weights = np.array([0.25, 0.75], np.float32)
    signs = np.where(passage[:, ::2] > 0, 1, -1)
    halved = asked[:, ::2] / np.linalg.norm(asked[:, ::2], axis=1, keepdims=True)
    expected = weights @ (halved @ signs.T / np.sqrt(192)).max(axis=1)
    assert likeness(asked, weights, [packed_pieces(text_of(passage))])[0] == pytest.approx(expected, abs=1e-5)


def test_pieces_of_a_rare_word_count_more_and_share_its_weight():
    rarities = {"quarantine": 8.0}
    weights = piece_weights("the quarantine", [(0, 3), (4, 8), (8, 14)], lambda word: rarities.get(word, 0.0))
    assert weights.sum() == pytest.approx(1.0)
    assert weights[1] == weights[2] > weights[0] > 0
    assert piece_weights("", [], lambda _: 1.0).size == 0

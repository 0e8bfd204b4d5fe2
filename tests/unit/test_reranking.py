"""The second stage: what is near, alike and beside good passages comes first, and what was never stored is no reproach."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.retrieval.reranking import Asked, Candidate, embedder_trust, rerank

ASKED = Asked("pier bell", {"pier": 3.0, "bell": 3.0}, np.ones((1, 384), np.float32), ((0, 4),))
ALIKE, UNLIKE = b"\xff" * 24, b"\x00" * 24


def candidate(chunk_id: int, text: str = "pier bell", signs: bytes = b"", tokens: int = 2) -> Candidate:
    return Candidate(chunk_id, chunk_id, chunk_id, text, tokens, signs)


def scores(candidates: list[Candidate], words: float = 3.0, neighbours: tuple[float, ...] | None = None) -> list[float]:
    count = len(candidates)
    beside = np.array(neighbours or [0.0] * count, np.float32)
    return rerank(ASKED, candidates, np.full(count, words, np.float32), np.full(count, 0.4, np.float32), beside).tolist()


def test_nothing_divides_by_nothing():
    nothing = Asked("", {}, np.empty((0, 0), np.float32), ())
    zero = np.zeros(1, np.float32)
    assert np.isfinite(rerank(nothing, [candidate(1, text="", tokens=0)], zero, zero, zero)).all()


def test_words_that_stand_together_win():
    near, far = candidate(1), candidate(2, text="pier " + "x " * 30 + "bell")
    assert scores([far, near])[1] > scores([far, near])[0]


def test_good_neighbours_help():
    assert np.argmax(scores([candidate(1), candidate(2)], neighbours=(0.1, 0.6))) == 1


def test_pieces_decide_between_equals_and_missing_ones_stand_in_the_middle():
    alike, unlike, unknown = scores([candidate(1, signs=ALIKE), candidate(2, signs=UNLIKE), candidate(3)])
    assert alike > unknown > unlike
    assert scores([candidate(1, signs=ALIKE)])[0] > scores([candidate(1, signs=UNLIKE)])[0]


@pytest.mark.parametrize(("tokens", "trust"), [(10, 1.0), (15, 1.0), (20, 0.5), (24, 0.25), (90, 0.25)])
def test_the_embedder_is_trusted_as_far_as_it_knows_the_words(tokens, trust):
    assert embedder_trust([candidate(1, text="w " * 10, tokens=tokens)]) == pytest.approx(trust)

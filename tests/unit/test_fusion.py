"""Fusion keeps how far apart passages are, and never divides by nothing."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.retrieval.fusion import fuse


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize("similarities", [(), (0.4,), (0.4, 0.4)])
def test_rankings_without_spread_add_nothing(similarities):
    fused = fuse(scores(*similarities), scores(*[0.0] * len(similarities)))
    assert fused.tolist() == [0.0] * len(similarities)


def test_distance_counts_not_rank():
    """The second ranking prefers the middle one by a hair, the first one by far."""
    fused = fuse(scores(0.9, 0.91, 0.1), scores(10.0, 2.0, 0.0))
    assert fused.argmax() == 0


def test_a_passage_only_one_ranking_knows_can_win():
    assert fuse(scores(0.1, 0.2, 0.9), scores(9.0, 0.0, 0.0)).argmax() == 0
    assert fuse(scores(0.1, 0.2, 0.9), scores(1.0, 1.0, 1.0)).argmax() == 2

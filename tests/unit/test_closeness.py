"""Words of a question that stand near one another in a passage say more than the same words far apart."""

from __future__ import annotations

import pytest

from appliance.retrieval.closeness import closeness

ASKED = {"notice": 2.0, "period": 1.0, "rare": 1.0}
FAR = ["x"] * 30


@pytest.mark.parametrize("passage", [[], ["x", "y"]])
def test_a_passage_without_the_words_is_not_near(passage):
    assert closeness(ASKED, passage) == (0.0, 0.0)


def test_a_question_without_terms_is_near_nothing():
    assert closeness({}, ["notice"]) == (0.0, 0.0)


def test_the_best_window_counts_each_word_once():
    assert closeness(ASKED, ["notice", "notice", "x", "period"])[0] == pytest.approx(3 / 4)
    assert closeness(ASKED, ["notice", *FAR, "period", "rare"])[0] == pytest.approx(2 / 4)
    assert closeness(ASKED, ["period", *FAR, "notice", "period", *FAR, "rare"])[0] == pytest.approx(3 / 4)


def test_only_neighbours_of_the_question_stand_together():
    assert closeness(ASKED, ["period", "of", "notice"])[1] == pytest.approx(3 / 8)
    assert closeness(ASKED, ["notice", *FAR, "period"])[1] == 0.0
    assert closeness(ASKED, ["notice", "rare"])[1] == 0.0

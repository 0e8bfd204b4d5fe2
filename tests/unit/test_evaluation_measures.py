"""What `evaluate` counts, on rankings small enough to count by hand."""

from __future__ import annotations

import pytest

from appliance.evaluation.measures import RankingMeasures, exact_match, token_f1
from appliance.language.squad import contains_answer


def test_a_hit_counts_at_its_rank_and_below():
    measures = RankingMeasures()
    measures.add([False, True, True], [200, 300, 100])
    measures.add([False] * 9 + [True], [250] * 10)
    measures.add([False], [10])
    measures.add([], [])
    assert measures.report() == {
        "hit_at_1": 0.0, "hit_at_5": 0.25, "hit_at_10": 0.5, "mrr": 0.15,
        "coverage_at_tokens": {"500": 0.25, "1000": 0.25, "2000": 0.25},
    }  # fmt: skip


def test_nothing_asked_is_no_division():
    assert RankingMeasures().report()["mrr"] == 0.0


@pytest.mark.parametrize(
    ("answer", "exact", "f1"), [("The Porter!", True, 1.0), ("a night porter", False, 2 / 3), ("", False, 0.0)]
)
def test_answers_are_compared_word_by_word(answer, exact, f1):
    assert exact_match(answer, ["porter", "the clerk"]) is exact
    assert token_f1(answer, ["porter", "the clerk"]) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        ("The tower is open on Fridays, between ten and four [1].", True),
        ("Fridays between the ten and four", True),
        ("It is open on Fridays [1]. Between ten and five.", False),
        ("Between ten and fourteen on Fridays", False),
        ("", False),
    ],
)
def test_a_sentence_holds_an_answer_only_word_for_word_and_in_its_order(answer: str, holds: bool) -> None:
    assert contains_answer(answer, ["", "Fridays between ten and four"]) is holds

"""When a figure has drifted: far enough, of enough, and when it is over again."""

from __future__ import annotations

import pytest

from appliance.quality.drift import compare, windows
from appliance.quality.models import DAY_MS, HOUR_MS, Figures, Measure
from appliance.quality.policy import Threshold
from appliance.quality.spread import spread_of

SHARE = Threshold(least=20, rises=0.15, falls=0.25)
HALF_AS_MUCH = Threshold(least=20, rises=0.5)


def answers(*, abstained: int, of: int) -> Figures:
    return Figures(0, answered=of - abstained, abstained=abstained)


def drifted(last: Figures, before: Figures, *, already: bool = False, threshold: Threshold = SHARE) -> bool:
    return compare(Measure.ABSTENTIONS, threshold, last, before).drifted(already=already)


@pytest.mark.parametrize(
    ("last", "before", "expected"),
    [
        (answers(abstained=8, of=20), answers(abstained=20, of=100), True),  # 20 points more
        (answers(abstained=6, of=20), answers(abstained=20, of=100), False),  # 10 points more
        (answers(abstained=8, of=19), answers(abstained=20, of=100), False),  # of too few
        (answers(abstained=20, of=20), answers(abstained=0, of=19), False),  # against too few
        (answers(abstained=0, of=20), answers(abstained=30, of=100), True),  # 30 points less
        (answers(abstained=1, of=20), answers(abstained=20, of=100), False),  # 15 points less
        (Figures(0), Figures(0), False),
    ],
)
def test_a_share_drifts_by_points(last: Figures, before: Figures, expected: bool) -> None:
    assert drifted(last, before) is expected


def test_a_side_that_the_policy_does_not_name_is_free() -> None:
    assert not drifted(answers(abstained=0, of=20), answers(abstained=100, of=100), threshold=Threshold(20, rises=0.1))


@pytest.mark.parametrize(("milliseconds", "expected"), [(1_400, False), (1_600, True), (100, False)])
def test_a_median_drifts_by_a_part_of_what_it_was(milliseconds: int, expected: bool) -> None:
    before = Figures(0, first_word=spread_of([1_000] * 20))
    last = Figures(0, first_word=spread_of([milliseconds] * 20))
    assert compare(Measure.FIRST_WORD, HALF_AS_MUCH, last, before).drifted(already=False) is expected


def test_at_the_edge_it_is_told_once() -> None:
    edge, before = answers(abstained=34, of=100), answers(abstained=20, of=100)  # 14 points: within what is allowed, barely
    assert not drifted(edge, before)
    assert drifted(edge, before, already=True)
    assert not drifted(answers(abstained=30, of=100), before, already=True)


def test_a_quiet_day_ends_nothing_and_a_quiet_fortnight_does() -> None:
    assert drifted(Figures(0), answers(abstained=20, of=100), already=True)
    assert not drifted(Figures(0), Figures(0), already=True)


def test_every_hour_is_in_one_window_at_most() -> None:
    until = 40 * DAY_MS
    hours = [Figures(until - n * HOUR_MS, questions=1) for n in range(-2, 400)]
    last, before = windows(hours, until)
    assert (last.questions, before.questions) == (24, 14 * 24)

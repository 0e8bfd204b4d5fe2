"""The figures of hours are what the rows say, and days are the sum of their hours."""

from __future__ import annotations

from collections import Counter
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from appliance.quality.hours import KEPT_DAYS, load_hours, record_hours
from appliance.quality.models import COUNTS, DAY_MS, HOUR_MS
from appliance.quality.review import by_day
from appliance.quality.spread import ACCURACY
from appliance.storage.tables import conversations, feedback, messages, quality_hours

START = 20_000 * DAY_MS
ANSWERS = st.lists(
    st.tuples(
        st.integers(0, 3 * DAY_MS - 1),
        st.sampled_from([("DONE", "stop"), ("DONE", "abstained"), ("STOPPED", "cancelled"), ("FAILED", "error")]),
        st.floats(1, 40),
        st.integers(1, 60_000),
        st.sampled_from([None, True, False]),
    ),
    max_size=12,
)


@given(ANSWERS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hours_add_up_to_days_and_days_to_what_happened(appliance, answered, answers) -> None:
    with appliance.database.write() as connection:
        for table in (quality_hours, conversations):
            connection.execute(delete(table))
    for at, (status, reason), score, whole, helpful in answers:
        answered(START + at, status=status, reason=reason, score=score, timing={"total_ms": whole}, helpful=helpful)
    record_hours(appliance.database, START + 3 * DAY_MS)
    with appliance.database.read() as connection:
        hours = load_hours(connection, START, START + 3 * DAY_MS)
    days = by_day(hours)
    for name in COUNTS:
        assert sum(getattr(day, name) for day in days) == sum(getattr(hour, name) for hour in hours)
    outcomes = Counter(outcome for _, outcome, *_ in answers)
    assert sum(day.questions for day in days) == len(answers)
    assert sum(day.abstained for day in days) == outcomes["DONE", "abstained"]
    assert sum(day.answered for day in days) == outcomes["DONE", "stop"]
    assert sum(day.unhelpful for day in days) == sum(helpful is False for *_, helpful in answers)
    for day in days:
        mine = [item for item in answers if START + item[0] // DAY_MS * DAY_MS == day.start_ms]
        scores = sorted(score for _, _, score, _, _ in mine)
        for share in (0.5, 0.95):
            exact = scores[ceil(share * len(scores)) - 1]
            assert day.search_score.quantile(share) == pytest.approx(exact, rel=ACCURACY * 1.001)
        assert day.whole_time.count == sum(outcome == ("DONE", "stop") for _, outcome, *_ in mine)


def test_what_was_counted_stays_when_the_conversation_goes(appliance, answered) -> None:
    answered(START, helpful=False)
    assert record_hours(appliance.database, START + HOUR_MS) == 1
    with appliance.database.write() as connection:
        connection.execute(delete(conversations))
        assert connection.execute(select(feedback)).all() == []
    assert record_hours(appliance.database, START + HOUR_MS) == 0
    with appliance.database.read() as connection:
        (hour,) = load_hours(connection, START, START + HOUR_MS)
    assert (hour.questions, hour.answered, hour.unhelpful) == (1, 1, 1)


def test_the_first_word_counts_from_the_question_on(appliance, answered) -> None:
    answered(START, timing={"wait_ms": 900.0, "first_delta_ms": 100.0, "total_ms": 600.0}, supported=3, withheld=1)
    record_hours(appliance.database, START + HOUR_MS)
    with appliance.database.read() as connection:
        (hour,) = load_hours(connection, START, START + HOUR_MS)
    assert hour.first_word.quantile(0.5) == pytest.approx(1_000, rel=ACCURACY)
    assert hour.whole_time.quantile(0.5) == pytest.approx(1_500, rel=ACCURACY)
    assert (hour.supported, hour.withheld) == (3, 1)


def test_an_hour_that_goes_on_is_left_alone_and_old_ones_are_forgotten(appliance, answered) -> None:
    answered(START)
    answered(START + 5 * HOUR_MS)
    assert record_hours(appliance.database, START + 5 * HOUR_MS) == 1
    assert record_hours(appliance.database, START + 6 * HOUR_MS) == 1
    record_hours(appliance.database, START + KEPT_DAYS * DAY_MS + HOUR_MS)
    with appliance.database.read() as connection:
        assert connection.execute(select(quality_hours.c.start_ms)).scalars().all() == [START + 5 * HOUR_MS]
        assert connection.execute(select(messages.c.id)).first()

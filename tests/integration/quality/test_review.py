"""Drift is told once when it begins and once when it ends; nothing that was asked stands anywhere in it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import delete, select

from appliance.audit.events import EventName
from appliance.cli import doctor
from appliance.errors import Denied, InvalidInput
from appliance.quality.hours import through
from appliance.quality.models import DAY_MS, HOUR_MS, Measure
from appliance.storage.clock import now_ms
from appliance.storage.tables import audit_events, conversations, quality_hours


@pytest.fixture
def told(appliance):
    def read() -> list[tuple[str, dict]]:
        drift = [str(EventName.DRIFT_BEGUN), str(EventName.DRIFT_ENDED)]
        with appliance.database.read() as connection:
            rows = connection.execute(select(audit_events).where(audit_events.c.event.in_(drift)).order_by(audit_events.c.seq))
            return [(row.event, json.loads(row.body)["facts"]) for row in rows]

    return read


@pytest.fixture
def drifting(appliance, answered) -> None:
    """A calm fortnight, and a day in which the documents do not hold half of what is asked."""
    until = through(now_ms())
    for number in range(20):
        answered(until - 3 * DAY_MS - number * HOUR_MS)
        answered(until - (number + 1) * HOUR_MS, reason="abstained" if number % 2 else "stop")


def test_drift_is_one_event_when_it_begins_and_one_when_it_ends(appliance, administrator, drifting, told) -> None:
    for _ in range(3):
        appliance.quality.record()
    (alert,) = appliance.quality.lasting()
    assert (alert.measure, alert.last, alert.before) == (Measure.ABSTENTIONS, 0.5, 0.0)
    assert alert.sentence.startswith("50% of the answers of the last day")
    assert [(event, facts["measure"]) for event, facts in told()] == [("drift.begun", "abstentions")]
    assert told()[0][1] == {"measure": "abstentions", "last": "0.500", "last_of": 20, "before": "0.000", "before_of": 20}

    with appliance.database.write() as connection:  # as if the day had gone better
        connection.execute(delete(quality_hours).where(quality_hours.c.abstained > 0))
        connection.execute(quality_hours.update().values(answered=2 * quality_hours.c.answered))
    for _ in range(2):
        appliance.quality.record()
    assert appliance.quality.lasting() == []
    assert [event for event, _ in told()] == ["drift.begun", "drift.ended"]
    (over,) = appliance.quality.read(administrator, by="hour", days=7).alerts
    assert over.ended_ms is not None


def test_no_text_of_a_question_stands_in_the_figures(appliance, administrator, answered) -> None:
    answered(through(now_ms()) - HOUR_MS, question="xyzzy plugh", helpful=True)
    appliance.quality.record()
    report = appliance.quality.read(administrator, by="hour", days=1)
    assert [figures.questions for figures in report.figures] == [1]
    with appliance.database.read() as connection:
        kept = str(connection.execute(select(quality_hours)).all())
    assert "xyzzy" not in kept + str(report)


def test_days_are_whole_days_of_utc(appliance, administrator, answered) -> None:
    until = through(now_ms())
    answered(until - HOUR_MS)
    answered(until - 40 * DAY_MS)
    appliance.quality.record()
    report = appliance.quality.read(administrator, by="day", days=30)
    assert (report.since_ms % DAY_MS, len(report.figures)) == (0, 1)
    assert sum(day.questions for day in appliance.quality.read(administrator, by="day", days=400).figures) == 2


@pytest.mark.parametrize(("by", "days"), [("minute", 1), ("hour", 0), ("hour", 32), ("day", 401)])
def test_more_than_there_can_be_is_refused(appliance, administrator, by, days) -> None:
    with pytest.raises(InvalidInput):
        appliance.quality.read(administrator, by=by, days=days)


def test_only_administrators_look_and_it_is_recorded(appliance, administrator, alice, officer) -> None:
    for person in (alice, officer):
        with pytest.raises(Denied):
            appliance.quality.read(person, by="day", days=30)
    appliance.quality.read(administrator, by="day", days=30)
    with appliance.database.read() as connection:
        events = list(connection.execute(select(audit_events.c.event)).scalars())
    assert events.count("quality.read") == 1
    assert events.count("access.denied") == 2


def test_an_empty_box_has_nothing_to_tell(appliance, administrator) -> None:
    assert appliance.quality.record() == 0
    assert appliance.quality.read(administrator, by="hour", days=7).figures == []
    with appliance.database.read() as connection:
        assert connection.execute(select(conversations)).all() == []


def test_the_doctor_says_what_has_drifted(appliance, drifting) -> None:
    (before,) = doctor._drift(appliance)
    appliance.quality.record()
    (after,) = doctor._drift(appliance)
    assert (before.state, after.state) == ("ok", "warning")
    assert "50% of the answers" in after.sentence

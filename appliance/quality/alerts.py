"""What has drifted, as rows: since when, and until when. One row for one drift."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from appliance.quality.drift import BEFORE_DAYS, Change
from appliance.quality.models import Measure
from appliance.storage.tables import drift_alerts


@dataclass(frozen=True, slots=True)
class Alert:
    """`before` and `last` are the figures of the days before and of the last day when they were last compared."""

    measure: Measure
    begun_ms: int
    ended_ms: int | None
    before: float
    last: float

    @property
    def sentence(self) -> str:
        """For people, with both figures."""
        now, then = _shown(self.measure, self.last), _shown(self.measure, self.before)
        return f"{_WORDS[self.measure].format(now)}; in the {BEFORE_DAYS} days before: {then}."


_WORDS = {
    Measure.ABSTENTIONS: "{} of the answers of the last day say that the documents do not contain the answer",
    Measure.FAILURES: "{} of the answers of the last day could not be written",
    Measure.NEGATIVE_FEEDBACK: "{} of the judgements of the last day call an answer not helpful",
    Measure.WITHHELD_SENTENCES: "{} of the sentences that the model wrote in the last day had no support and were withheld",
    Measure.SEARCH_SCORE: "The best passages found in the last day have a median score of {}",
    Measure.FIRST_WORD: "The first word came after {} in the last day (median)",
    Measure.WHOLE_TIME: "A whole answer took {} in the last day (median)",
}


def load_alerts(connection: Connection, *, since_ms: int | None = None) -> list[Alert]:
    """Those that last, and with `since_ms` those that ended since, too; oldest first."""
    wanted: ColumnElement[bool] = drift_alerts.c.ended_ms.is_(None)
    if since_ms is not None:
        wanted = or_(wanted, drift_alerts.c.ended_ms >= since_ms)
    rows = connection.execute(select(drift_alerts).where(wanted).order_by(drift_alerts.c.begun_ms, drift_alerts.c.measure))
    return [Alert(Measure(row.measure), row.begun_ms, row.ended_ms, row.before, row.last) for row in rows]


def begin(connection: Connection, change: Change, now_ms: int) -> None:
    assert change.last is not None
    assert change.before is not None
    values = {"before": change.before.value, "last": change.last.value}
    connection.execute(insert(drift_alerts).values(measure=change.measure, begun_ms=now_ms, ended_ms=None, **values))


def refresh(connection: Connection, changes: Iterable[Change]) -> None:
    """The figures of what lasts, as they are now."""
    for change in changes:
        if change.last is not None and change.before is not None:
            lasting = update(drift_alerts).where(drift_alerts.c.measure == change.measure, drift_alerts.c.ended_ms.is_(None))
            connection.execute(lasting.values(before=change.before.value, last=change.last.value))


def end(connection: Connection, alert: Alert, now_ms: int) -> None:
    lasting = update(drift_alerts).where(drift_alerts.c.measure == alert.measure, drift_alerts.c.ended_ms.is_(None))
    connection.execute(lasting.values(ended_ms=now_ms))


def forget(connection: Connection, before_ms: int) -> None:
    connection.execute(delete(drift_alerts).where(drift_alerts.c.ended_ms < before_ms))


def _shown(measure: Measure, value: float) -> str:
    if measure.is_share:
        return f"{value:.0%}"
    return f"{value:.1f}" if measure is Measure.SEARCH_SCORE else f"{value / 1_000:.1f} s"

"""Keeping watch every hour, and what administrators see of it. Looking is recorded; no figure says who asked, or what."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.errors import InvalidInput
from appliance.identity.models import SYSTEM, Principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.quality import alerts
from appliance.quality.alerts import Alert, load_alerts
from appliance.quality.drift import BEFORE_DAYS, Change, compare, windows
from appliance.quality.hours import KEPT_DAYS, load_hours, record_hours, through
from appliance.quality.models import DAY_MS, HOUR_MS, Figures, summed
from appliance.quality.policy import DriftPolicy
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

_HOURLY_DAYS = 31
"""More hours than that make no plot."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Figures by hour or by day (of UTC) from `since_ms` to `until_ms`, the last with drifts that lasted in that time."""

    since_ms: int
    until_ms: int
    step_ms: int
    figures: list[Figures]
    alerts: list[Alert]


class QualityReview:
    """Figures of answers, and what has drifted."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, policy: DriftPolicy) -> None:
        self.policy = policy
        self._database = database
        self._access = access
        self._audit = audit

    def read(self, principal: Principal, *, by: str, days: int) -> QualityReport:
        """The last `days`, "hour" by hour or "day" by day. Raises `InvalidInput` (`quality.range`) for more than there can be."""
        self._access.require(principal, Action.QUALITY_READ, APPLIANCE)
        longest = {"hour": _HOURLY_DAYS, "day": KEPT_DAYS}.get(by, 0)
        if not 1 <= days <= longest:
            raise InvalidInput(f"Ask for up to {_HOURLY_DAYS} days by hour or {KEPT_DAYS} by day.", code="quality.range")
        until = through(now_ms())
        since = until - days * DAY_MS if by == "hour" else (until - (days - 1) * DAY_MS) // DAY_MS * DAY_MS
        with self._database.write() as connection:
            self._audit.append(connection, AuditEvent(EventName.QUALITY_READ, principal, facts={"by": by, "days": days}))
        with self._database.read() as connection:
            figures = load_hours(connection, since, until)
            told = load_alerts(connection, since_ms=since)
        step = HOUR_MS if by == "hour" else DAY_MS
        return QualityReport(since, until, step, figures if by == "hour" else by_day(figures), told)

    def lasting(self) -> list[Alert]:
        """What has drifted now; asks nobody and leaves no record: for the box itself and its command line."""
        with self._database.read() as connection:
            return load_alerts(connection)

    def record(self) -> int:
        """The hourly work; how many hours of figures were made. What begins or ends to drift is one audit event each."""
        now = now_ms()
        until = through(now)
        made = record_hours(self._database, until)
        with self._database.read() as connection:
            hours = load_hours(connection, until - (BEFORE_DAYS + 1) * DAY_MS, until)
        last, before = windows(hours, until)
        changes = [compare(measure, threshold, last, before) for measure, threshold in self.policy.items()]
        with self._database.write() as connection:
            self._tell(connection, changes, now)
            alerts.forget(connection, now - KEPT_DAYS * DAY_MS)
        return made

    def _tell(self, connection: Connection, changes: list[Change], now: int) -> None:
        standing = {alert.measure: alert for alert in load_alerts(connection)}
        lasting = []
        for change in changes:
            alert = standing.pop(change.measure, None)
            if change.drifted(already=alert is not None):
                if alert is None:
                    alerts.begin(connection, change, now)
                    self._record(connection, EventName.DRIFT_BEGUN, _facts(change))
                lasting.append(change)
            elif alert is not None:
                alerts.end(connection, alert, now)
                self._record(connection, EventName.DRIFT_ENDED, _facts(change) | {"begun_ms": alert.begun_ms})
        alerts.refresh(connection, lasting)
        for alert in standing.values():  # of a figure that the policy watches no more
            alerts.end(connection, alert, now)
            self._record(connection, EventName.DRIFT_ENDED, {"measure": str(alert.measure), "begun_ms": alert.begun_ms})

    def _record(self, connection: Connection, name: EventName, facts: dict[str, str | int]) -> None:
        self._audit.append(connection, AuditEvent(name, SYSTEM, facts=facts))


def by_day(hours: list[Figures]) -> list[Figures]:
    """Hours summed up to days of UTC; days in which nothing happened are left out."""
    days: dict[int, list[Figures]] = {}
    for hour in hours:
        days.setdefault(hour.start_ms // DAY_MS * DAY_MS, []).append(hour)
    return [summed(hours_of_day, start) for start, hours_of_day in days.items()]


def _facts(change: Change) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"measure": str(change.measure)}
    for name, found in (("last", change.last), ("before", change.before)):
        if found is not None:
            facts |= {name: f"{found.value:.3f}", f"{name}_of": found.count}
    return facts

"""Maintenance windows: the times, declared beforehand, in which something may be fetched from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.egress.destinations import read_destinations, wrong_entry

LONGEST = timedelta(hours=24)
"""A window that stays open is a door."""


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """From `begins` until before `ends`; both know their time zone."""

    begins: datetime
    ends: datetime


def load_windows(file: Path) -> tuple[MaintenanceWindow, ...]:
    """The `[[maintenance]]` entries of the destinations. Raises `SetupError` (`setup.destinations`)."""
    return tuple(_window(row) for row in read_destinations(file, "maintenance"))


def is_open(windows: Sequence[MaintenanceWindow], now: datetime | None = None) -> bool:
    """Whether one of them is open, at present unless said otherwise."""
    moment = now or datetime.now(UTC)
    return any(window.begins <= moment < window.ends for window in windows)


def _window(row: Mapping[str, Any]) -> MaintenanceWindow:
    begins, ends = row.get("begins"), row.get("ends")
    if set(row) != {"begins", "ends"} or not isinstance(begins, datetime) or not isinstance(ends, datetime):
        raise wrong_entry("a maintenance window has begins and ends, both with date, time and zone")
    if begins.tzinfo is None or ends.tzinfo is None:
        raise wrong_entry("the times of a maintenance window need a zone, as in 2026-11-21T22:00:00Z")
    if not timedelta() < ends - begins <= LONGEST:
        raise wrong_entry("a maintenance window ends after it begins, and within a day")
    return MaintenanceWindow(begins, ends)

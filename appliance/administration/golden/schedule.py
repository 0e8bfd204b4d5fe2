"""When a set is due next. Pure; hours and days are those of the box's own clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from appliance.administration.golden.models import Schedule


def next_due_ms(schedule: Schedule, hour: int, weekday: int, after_ms: int) -> int | None:
    """The first moment after `after_ms` at which the set is to be asked; None where it never is by itself."""
    if schedule is Schedule.OFF:
        return None
    after = datetime.fromtimestamp(after_ms / 1_000).astimezone()
    due = after.replace(hour=hour, minute=0, second=0, microsecond=0)
    if schedule is Schedule.WEEKLY:
        due += timedelta(days=(weekday - due.weekday()) % 7)
    while due <= after:
        due += timedelta(days=7 if schedule is Schedule.WEEKLY else 1)
    # what the clock of the box shows, on days on which it is put forward or back as well
    return int(due.replace(tzinfo=None).astimezone().timestamp() * 1_000)

"""The last day against the days before it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.quality.models import DAY_MS, Figures, Measure, Measured, measured, summed
from appliance.quality.policy import Threshold

BEFORE_DAYS = 14
_ENDS_WITHIN = 0.8
"""What has drifted is over once the distance is this part of what is allowed: a figure at the very edge is told of once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One measure of the last day and of the days before; `distance` is of what the threshold allows, 1.0 all of it.

    `distance` is None where one of the two is made of too few to say anything.
    """

    measure: Measure
    last: Measured | None
    before: Measured | None
    distance: float | None

    def drifted(self, *, already: bool) -> bool:
        """Whether this is drift, given whether it was. Too few of the last day change nothing, too few before end it."""
        if self.distance is None:
            return already and self.last is None and self.before is not None
        return self.distance > (_ENDS_WITHIN if already else 1.0)


def windows(hours: Sequence[Figures], until_ms: int) -> tuple[Figures, Figures]:
    """The last day up to `until_ms` and the days before it, each as one."""
    day, first = until_ms - DAY_MS, until_ms - (BEFORE_DAYS + 1) * DAY_MS
    last = summed((each for each in hours if day <= each.start_ms < until_ms), day)
    return last, summed((each for each in hours if first <= each.start_ms < day), first)


def compare(measure: Measure, threshold: Threshold, last: Figures, before: Figures) -> Change:
    now, then = _enough(measured(measure, last), threshold), _enough(measured(measure, before), threshold)
    if now is None or then is None:
        return Change(measure, now, then, None)
    moved = now.value - then.value
    if not measure.is_share:
        if then.value == 0:
            return Change(measure, now, then, None)
        moved /= then.value
    allowed = threshold.rises if moved > 0 else threshold.falls
    return Change(measure, now, then, 0.0 if allowed is None else abs(moved) / allowed)


def _enough(found: Measured | None, threshold: Threshold) -> Measured | None:
    return found if found is not None and found.count >= threshold.least else None

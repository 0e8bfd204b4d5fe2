"""When something is old enough to go: pure, in milliseconds of the clock that retention believes."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.storage.clock import DAY_MS

GRACE_MS = DAY_MS
"""So long a smaller number waits before it removes anything, so that a slip of the finger can be taken back."""

MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Rule:
    """`days` as agreed last, `days_before` what holds until `effective_ms`; None: they stay."""

    days: int | None
    days_before: int | None = None
    effective_ms: int = 0

    def in_force(self, now_ms: int) -> int | None:
        """The number of days at this moment."""
        return self.days_before if now_ms < self.effective_ms else self.days

    def cutoff_ms(self, now_ms: int) -> int | None:
        """What was touched last at this moment or before is old enough; None: nothing is."""
        days = self.in_force(now_ms)
        return None if days is None else now_ms - days * DAY_MS

    def end_ms(self, touched_ms: int) -> int | None:
        """When something that nobody touches again is old enough; None: it stays."""
        if self.days_before is not None and touched_ms + self.days_before * DAY_MS < self.effective_ms:
            return touched_ms + self.days_before * DAY_MS
        return None if self.days is None else max(touched_ms + self.days * DAY_MS, self.effective_ms)

    def changed(self, days: int | None, now_ms: int, *, clock_ms: int = 0) -> Rule:
        """With another number: a smaller one than is in force waits for the grace, any other holds at once.

        `clock_ms` is what the clock says where it is ahead of `now_ms`: the grace outlasts the moment at which it is believed.
        """
        now = self.in_force(now_ms)
        if days == self.days:
            return self
        if shortens(now, days):
            return Rule(days, now, max(now_ms, clock_ms) + GRACE_MS)
        return Rule(days)

    def not_later_than(self, clock_ms: int) -> Rule:
        """The same, with no grace longer than it can be: it began while the clock stood further ahead."""
        return Rule(self.days, self.days_before, min(self.effective_ms, clock_ms + GRACE_MS))


NONE = Rule(None)
"""Nothing goes by its age."""


def shortens(before: int | None, days: int | None) -> bool:
    """Whether things go sooner by `days` than by the number before."""
    return days is not None and (before is None or days < before)

"""How long things stay, as those who set it see and say it."""

from __future__ import annotations

import msgspec

from appliance.administration.retention import Outlook


class RetentionChange(msgspec.Struct, forbid_unknown_fields=True):
    """Days, 0: they stay; and how many the person was told are older already."""

    days: int
    going: int = 0


class OutlookOut(msgspec.Struct):
    """`days` hold from `effective_ms` on, `days_before` until then; None: they stay. `going` are older than `days` already.

    While `doubtful` the clock stands ahead of what is believed of it.
    """

    days: int | None
    days_before: int | None
    effective_ms: int
    going: int
    doubtful: bool

    @classmethod
    def of(cls, found: Outlook) -> OutlookOut:
        rule = found.rule
        return cls(rule.days, rule.days_before, rule.effective_ms, found.going, found.doubtful)

"""The time of day as the tables hold it."""

from __future__ import annotations

import time

DAY_MS = 86_400_000


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000

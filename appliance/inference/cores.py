"""How many threads a model may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores this process may run on, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0))

"""How many threads a model may use, and how many answers a box works on at once."""

from __future__ import annotations

from pathlib import Path

from appliance.inference.hardware.control_groups import cpu_quota
from appliance.inference.hardware.processor import usable_cores

_ANSWERS_PER_CORE = 2
"""Tokens of several answers share one reading of the weights; beyond about this many the cores themselves are what is short."""

_MOST_ANSWERS = 8


def available_cores() -> int:
    """Cores this process may run on: fewer than the machine has where it is bound to some or its control group has a quota."""
    try:
        quota = cpu_quota(Path("/"))
    except (OSError, ValueError):
        quota = None  # no Linux, or control groups hidden from us: nothing limits us that we could know of
    return usable_cores(quota)


def answers_at_once(setting: int) -> int:
    """The setting, or what the cores of this box are good for where that is 0."""
    return setting or min(_MOST_ANSWERS, _ANSWERS_PER_CORE * available_cores())

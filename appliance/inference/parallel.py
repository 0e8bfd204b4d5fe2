"""How many answers a box works on at once."""

from __future__ import annotations

from appliance.inference.cores import available_cores

_PER_CORE = 2
"""Tokens of several answers share one reading of the weights; beyond about this many the cores themselves are what is short."""

_MOST = 8


def answers_at_once(setting: int) -> int:
    """The setting, or what the cores of this box are good for where that is 0."""
    return setting or min(_MOST, _PER_CORE * available_cores())

"""How many threads a model may use."""

from __future__ import annotations

from pathlib import Path

from appliance.inference.hardware.control_groups import cpu_quota
from appliance.inference.hardware.processor import usable_cores


def available_cores() -> int:
    """Cores this process may run on: fewer than the machine has where it is bound to some or its control group has a quota."""
    try:
        quota = cpu_quota(Path("/"))
    except (OSError, ValueError):
        quota = None  # no Linux, or control groups hidden from us: nothing limits us that we could know of
    return usable_cores(quota)

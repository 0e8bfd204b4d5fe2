"""What the state-of-the-box page shows about processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from appliance.settings import Settings
from appliance.supervisor import wire
from appliance.supervisor.children import Child
from appliance.supervisor.names import PROCESSES_KEY

PERIOD_S = 3.0
_FADES_AFTER_S = 30
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def publish(settings: Settings, children: Sequence[Child], started_ms: int) -> None:
    """Write a JSON list of `{name, pid, rss_mb, started_ms, restarts, ready}` under `processes`.

    Silent where Redis is away: the next one is seconds off.
    """
    own = {
        "name": "supervisor",
        "pid": os.getpid(),
        "rss_mb": rss_mb(os.getpid()),
        "started_ms": started_ms,
        "restarts": 0,
        "ready": True,
    }
    listed = [own, *(_state(child) for child in children)]
    try:
        wire.command(settings, "SET", PROCESSES_KEY, json.dumps(listed), "EX", str(_FADES_AFTER_S))
    except OSError:
        return


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in megabytes of 1,000,000 bytes; 0 where it is gone."""
    try:
        return round(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1_000_000, 1)
    except (OSError, IndexError):
        return 0.0


def _state(child: Child) -> dict[str, str | int | float | bool | None]:
    return {
        "name": child.plan.name,
        "pid": child.pid,
        "rss_mb": rss_mb(child.pid) if child.pid else 0.0,
        "started_ms": child.started_ms,
        "restarts": child.restarts,
        "ready": child.ready,
    }

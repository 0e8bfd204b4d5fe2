"""What has moved: interfaces and sockets of the network the processes are in, and calls that the gate let out or refused."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select

from appliance.audit.events import EventName
from appliance.egress.frames import Count
from appliance.storage.tables import audit_events, audit_resources

PERIOD_MS = 3_600_000
_LOOPBACK = "lo"
_IN_USE = re.compile(r"^(TCP6?|UDP6?|RAW6?): inuse (\d+)", re.MULTILINE)


class Counters(msgspec.Struct, frozen=True):
    """Of one network namespace since it was made. Bytes on loopback stay in the box; `foreign` names every other interface."""

    loopback_bytes: int
    foreign_bytes: int
    foreign: list[str]
    sockets: int


class Calls(msgspec.Struct, frozen=True):
    """Calls through the gate that left, and that were refused."""

    made: int
    refused: int


def network_counters(pid: str = "self") -> Counters:
    """Counters of the network that a process is in. Raises `OSError` where they cannot be read."""
    moved = {}
    for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]:
        name, _, figures = line.partition(":")
        received, sent = (int(figures.split()[column]) for column in (0, 8))
        moved[name.strip()] = received + sent
    sockets = 0
    for table in ("sockstat", "sockstat6"):
        file = Path(f"/proc/{pid}/net/{table}")
        if file.exists():
            sockets += sum(int(count) for _, count in _IN_USE.findall(file.read_text()))
    foreign = sorted(set(moved) - {_LOOPBACK})
    return Counters(moved.get(_LOOPBACK, 0), sum(moved[name] for name in foreign), foreign, sockets)


def gate_calls(connection: Connection, since_ms: int) -> Calls:
    """As the audit log has them: every call and every refusal is an event there."""
    names = {"made": EventName.EGRESS_OPENED, "refused": EventName.EGRESS_REFUSED}
    query = select(audit_events.c.event, func.count()).where(
        audit_events.c.event.in_([str(name) for name in names.values()]), audit_events.c.time_ms >= since_ms
    )
    found = dict(connection.execute(query.group_by(audit_events.c.event)).tuples().all())
    return Calls(**{field: found.get(str(name), 0) for field, name in names.items()})


def unrecorded(connection: Connection, count: Count) -> int:
    """Calls and refusals that the gate counted and the audit log does not have: none, unless a caller kept them to itself."""
    mine = audit_resources.c.kind == "gate", audit_resources.c.resource_id == count.gate
    query = select(audit_events.c.event, func.count()).join(audit_resources, audit_resources.c.seq == audit_events.c.seq)
    logged: dict[str, int] = dict(connection.execute(query.where(*mine).group_by(audit_events.c.event)).tuples().all())
    missing = {
        EventName.EGRESS_OPENED: count.calls - logged.get(str(EventName.EGRESS_OPENED), 0),
        EventName.EGRESS_REFUSED: count.refused - logged.get(str(EventName.EGRESS_REFUSED), 0),
    }
    return sum(max(0, lacking) for lacking in missing.values())

"""What keeps data on this box, and what has left it: for administrators and officers. Looking is recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.audit.log import AuditLog
from appliance.egress.asking import gate_count
from appliance.egress.collector.state import CollectorState, collector_state
from appliance.egress.destinations import Destination, load_destinations, log_collector
from appliance.egress.frames import Count
from appliance.egress.meter import PERIOD_MS, Calls, Counters, gate_calls, network_counters, unrecorded
from appliance.egress.seal.layers import Strength
from appliance.egress.seal.reports import Report, read_reports
from appliance.errors import SetupError, Unavailable
from appliance.identity.models import SYSTEM, Principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.settings import Settings
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

_MOMENT_S = 0.5


class GateState(msgspec.Struct, frozen=True):
    """What the gate counted itself since it started, and how many calls and refusals of those the audit log lacks."""

    count: Count
    unrecorded: int


class Named(msgspec.Struct, frozen=True):
    """A machine that the gate may call, and what for."""

    name: str
    host: str
    port: int
    purpose: str


class EgressStatus(msgspec.Struct, frozen=True):
    """`strength` is that of the weakest process behind the seal; None where none has reported.

    `counters` is None where they cannot be read, `gate` where none answers: it runs only where destinations are named. So is
    `destinations` where the list cannot be read, which lets nothing out. `collector` is None where none is named.
    """

    time_ms: int
    strength: Strength | None
    required: bool
    processes: list[Report]
    counters: Counters | None
    last_hour: Calls
    gate: GateState | None
    destinations: list[Named] | None
    collector: CollectorState | None

    @property
    def gaps(self) -> list[str]:
        """Layers that do not hold, as `layer/process`."""
        return [f"{layer.name}/{report.process}" for report in self.processes for layer in report.missing]


class EgressReview:
    """The state of the seal and the meter."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, settings: Settings, destinations: Path) -> None:
        """`destinations` is the file that names them."""
        self._destinations = destinations
        self._database = database
        self._access = access
        self._audit = audit
        self._settings = settings

    def status(self, principal: Principal) -> EgressStatus:
        """Raises `Denied` where policy refuses."""
        self._access.require(principal, Action.EGRESS_READ, APPLIANCE)
        with self._database.write() as connection:
            self._audit.append(connection, AuditEvent(EventName.EGRESS_READ, principal))
        return self.found()

    def record(self) -> int:
        """The hourly event; how many layers are missing, over all processes. A failure where any is, or bytes left."""
        status = self.found()
        facts: dict[str, str | int] = {
            "seal": str(status.strength or "unknown"),
            "missing": len(status.gaps),
            "gaps": ",".join(status.gaps)[:1_000] or "none",
            "processes": len(status.processes),
            "calls": status.last_hour.made,
            "refusals": status.last_hour.refused,
        }
        if status.gate:
            facts |= {"unrecorded": status.gate.unrecorded, "strangers": status.gate.count.strangers}
        if status.counters:
            facts |= {name: getattr(status.counters, name) for name in ("loopback_bytes", "foreign_bytes", "sockets")}
        strange = status.gate is not None and (status.gate.unrecorded or status.gate.count.strangers)
        outcome = Outcome.FAILURE if status.gaps or not status.counters or strange else Outcome.SUCCESS
        with self._database.write() as connection:
            self._audit.append(connection, AuditEvent(EventName.EGRESS_METERED, SYSTEM, outcome=outcome, facts=facts))
        return len(status.gaps)

    def found(self) -> EgressStatus:
        """Without asking anybody, and without a record: for the box itself and for its command line."""
        now = now_ms()
        reports = read_reports(self._settings.run_dir)
        sealed = [report for report in reports if not report.outside]
        destinations = self._listed()
        with self._database.read() as connection:
            calls = gate_calls(connection, now - PERIOD_MS)
        return EgressStatus(
            time_ms=now,
            strength=min((each.strength for each in sealed), key=list(Strength).index, default=None),
            required=self._settings.require_seal,
            processes=reports,
            counters=_counters(sealed),
            last_hour=calls,
            gate=self._gate(),
            destinations=None if destinations is None else [_named(each) for each in destinations.values()],
            collector=self._collector(destinations),
        )

    def collector(self) -> CollectorState | None:
        """How far the copy of the log outside this box is; None where none is named, or the list cannot be read. As `found`."""
        return self._collector(self._listed())

    def _collector(self, destinations: Mapping[str, Destination] | None) -> CollectorState | None:
        named = log_collector(destinations or {})
        if named is None:
            return None
        with self._database.read() as connection:
            return collector_state(connection, named, now_ms())

    def _listed(self) -> Mapping[str, Destination] | None:
        try:
            return load_destinations(self._destinations)
        except SetupError:
            return None

    def _gate(self) -> GateState | None:
        try:
            count = gate_count(self._settings.gate_path)
        except Unavailable:
            return None
        lacking = self._unrecorded(count)
        if lacking:  # a refusal is counted a moment before it is written down
            time.sleep(_MOMENT_S)
            lacking = self._unrecorded(count)
        return GateState(count, lacking)

    def _unrecorded(self, count: Count) -> int:
        with self._database.read() as connection:
            return unrecorded(connection, count)


def _named(destination: Destination) -> Named:
    return Named(destination.name, destination.host, destination.port, destination.purpose)


def _counters(reports: list[Report]) -> Counters | None:
    """Of the network that the processes are in. That of a command line is the machine's, and says nothing of the box."""
    for report in reports:
        try:
            return network_counters(str(report.pid))
        except OSError:
            continue
    return None

"""The seal and the meter, as pages show them."""

from __future__ import annotations

import msgspec

from appliance.administration.egress_review import EgressStatus, GateState, Named
from appliance.egress.collector.state import CollectorState
from appliance.egress.seal.reports import Report


class LayerOut(msgspec.Struct):
    name: str
    held: bool
    detail: str


class SealedProcessOut(msgspec.Struct):
    """`reason` says why a process has fewer layers, empty where it has all. `outside`: it has a network by nature."""

    name: str
    strength: str
    measured_ms: int
    reason: str
    outside: bool
    layers: list[LayerOut]

    @classmethod
    def of(cls, report: Report) -> SealedProcessOut:
        layers = [LayerOut(layer.name, layer.held, layer.detail) for layer in report.layers]
        return cls(report.process, report.strength, report.measured_ms, report.reason, report.outside, layers)


class GateOut(msgspec.Struct):
    """What the gate counted itself since `since_ms`; `unrecorded` of it is missing in the audit log."""

    since_ms: int
    calls: int
    refusals: int
    strangers: int
    bytes_out: int
    bytes_in: int
    unrecorded: int

    @classmethod
    def of(cls, state: GateState) -> GateOut:
        count = state.count
        return cls(
            since_ms=count.since_ms,
            calls=count.calls,
            refusals=count.refused,
            strangers=count.strangers,
            bytes_out=count.bytes_out,
            bytes_in=count.bytes_in,
            unrecorded=state.unrecorded,
        )


class CollectorOut(msgspec.Struct):
    """How far the collector of the log is; `sentence` has no times in it."""

    sentence: str
    troubled: bool
    sent_ms: int | None
    failing_since_ms: int | None

    @classmethod
    def of(cls, state: CollectorState) -> CollectorOut:
        return cls(state.sentence, state.troubled, state.sent_ms, state.failing_since_ms)


class EgressOut(msgspec.Struct):
    """`strength` is that of the weakest process, None where none has reported. Figures are None where they cannot be read.

    `destinations` are the machines that the gate may call, written for people.
    """

    time_ms: int
    strength: str | None
    required: bool
    processes: list[SealedProcessOut]
    gaps: list[str]
    loopback_bytes: int | None
    foreign_bytes: int | None
    foreign: list[str] | None
    sockets: int | None
    calls: int
    refusals: int
    gate: GateOut | None
    destinations: list[str] | None
    collector: CollectorOut | None

    @classmethod
    def of(cls, status: EgressStatus) -> EgressOut:
        counters = status.counters
        return cls(
            time_ms=status.time_ms,
            strength=status.strength,
            required=status.required,
            processes=[SealedProcessOut.of(report) for report in status.processes],
            gaps=status.gaps,
            loopback_bytes=counters.loopback_bytes if counters else None,
            foreign_bytes=counters.foreign_bytes if counters else None,
            foreign=counters.foreign if counters else None,
            sockets=counters.sockets if counters else None,
            calls=status.last_hour.made,
            refusals=status.last_hour.refused,
            gate=GateOut.of(status.gate) if status.gate else None,
            destinations=_written(status.destinations),
            collector=CollectorOut.of(status.collector) if status.collector else None,
        )


def _written(named: list[Named] | None) -> list[str] | None:
    return None if named is None else [f"{each.name} ({each.host} port {each.port}, {each.purpose})" for each in named]

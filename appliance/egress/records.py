"""What the audit log says about calls that left, and about those that were not let out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.egress.calls import Call
from appliance.egress.frames import Opened
from appliance.identity.models import SYSTEM, Principal

INTERRUPTED = "egress.interrupted"
"""A stop or a deadline: whoever called wanted it to end."""


@dataclass(slots=True)
class Traffic:
    """What one call has moved: bytes of bodies, without headers and TLS."""

    bytes_out: int = 0
    bytes_in: int = 0
    status: int = 0
    reason_code: str = ""


def call_opened(opened: Opened, call: Call, person: Principal | None) -> AuditEvent:
    """A call that the gate has agreed to, before anything of it is sent."""
    facts: dict[str, str | int] = {
        "host": opened.host,
        "port": opened.port,
        "purpose": str(call.purpose),
        "body_bytes": len(call.body),
    }
    if call.classification:
        facts["classification"] = call.classification
    return AuditEvent(
        name=EventName.EGRESS_OPENED,
        principal=SYSTEM,
        on_behalf_of=person,
        resources=_resources(call.destination, call, opened.gate),
        facts=facts,
    )


def call_ended(opened: Opened, call: Call, person: Principal | None, traffic: Traffic, duration_ms: int) -> AuditEvent:
    """A call that left the box, however it ended."""
    facts: dict[str, str | int] = {
        "host": opened.host,
        "port": opened.port,
        "purpose": str(call.purpose),
        "bytes_out": traffic.bytes_out,
        "bytes_in": traffic.bytes_in,
        "status": traffic.status,
        "duration_ms": duration_ms,
    }
    if traffic.reason_code:
        facts["reason_code"] = traffic.reason_code
    return AuditEvent(
        name=EventName.EGRESS_CALLED,
        principal=SYSTEM,
        on_behalf_of=person,
        resources=_resources(call.destination, call, opened.gate),
        outcome=Outcome.SUCCESS if traffic.reason_code in {"", INTERRUPTED} else Outcome.FAILURE,
        facts=facts,
    )


def call_refused(name: str, call: Call, person: Principal | None, reason: str, gate: str = "") -> AuditEvent:
    """A call that was not let out; nothing was sent. `gate` is empty where the gate was not even asked."""
    return AuditEvent(
        name=EventName.EGRESS_REFUSED,
        principal=SYSTEM,
        on_behalf_of=person,
        resources=_resources(name, call, gate),
        outcome=Outcome.FAILURE,
        facts={"purpose": str(call.purpose), "reason": reason},
    )


def _resources(name: str, call: Call, gate: str) -> tuple[ResourceRef, ...]:
    """With the gate, so that its own count can be compared with the log."""
    passed = (ResourceRef("gate", gate),) if gate else ()
    return (ResourceRef("destination", name), *call.about, *passed)

"""What the audit log says about calls that left, and about those that were not let out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.egress.destinations import Destination, Purpose
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


def call_ended(
    destination: Destination, person: Principal | None, about: tuple[ResourceRef, ...], traffic: Traffic, duration_ms: int
) -> AuditEvent:
    """A call that left the box, however it ended."""
    facts: dict[str, str | int] = {
        "host": destination.host,
        "port": destination.port,
        "purpose": str(destination.purpose),
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
        resources=(ResourceRef("destination", destination.name), *about),
        outcome=Outcome.SUCCESS if traffic.reason_code in {"", INTERRUPTED} else Outcome.FAILURE,
        facts=facts,
    )


def call_refused(
    name: str, purpose: Purpose, person: Principal | None, about: tuple[ResourceRef, ...], reason: str
) -> AuditEvent:
    """A call that was not let out; nothing was sent."""
    return AuditEvent(
        name=EventName.EGRESS_REFUSED,
        principal=SYSTEM,
        on_behalf_of=person,
        resources=(ResourceRef("destination", name), *about),
        outcome=Outcome.FAILURE,
        facts={"purpose": str(purpose), "reason": reason},
    )

"""Appends one leaf per act, inside the transaction of the act: either both are there or neither is.

The caller holds the database's write lock, so the next number is the last one plus one and there is never a gap. Each append
looks at two index entries and nothing else, however long the log has grown.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from appliance.audit.canonical import (
    FORMAT_VERSION,
    MAX_BODY_BYTES,
    NO_PREVIOUS,
    canonical_json,
    commitment,
    indexed_resources,
    leaf_hash,
)
from appliance.audit.classes import classify
from appliance.audit.events import AuditEvent, EventName
from appliance.audit.sealing import SALT_BYTES, seal
from appliance.identity.models import SYSTEM
from appliance.storage.clock import now_ms
from appliance.storage.tables import audit_events, audit_resources, audit_sealed

# composed once: an append is part of every act
_LAST = select(audit_events.c.seq, audit_events.c.leaf_hash).order_by(audit_events.c.seq.desc()).limit(1)
_LAST_IN_CLASS = select(func.max(audit_events.c.class_seq)).where(audit_events.c.class_uid == bindparam("wanted"))
_INSERT = insert(audit_events)
_REFUSALS = {EventName.ACCESS_DENIED, EventName.EGRESS_REFUSED}


@dataclass(frozen=True, slots=True, repr=False)
class AuditLog:
    """The only writer of the log. `boot_id` tells runs of the machine apart, between which `mono_ns` starts anew."""

    sealing_key: bytes
    boot_id: str
    policy_set_sha256: str

    def append(self, connection: Connection, event: AuditEvent) -> int:
        """Write the event; its number. `connection` must be inside `Database.write()`.

        Raises `ValueError` for a leaf above 8 KiB: facts are ids, counts and digests, and text belongs into `sealed`.
        """
        last = connection.execute(_LAST).first()
        seq, previous = (last.seq + 1, last.leaf_hash) if last else (1, NO_PREVIOUS)
        kind = classify(event.name, str(event.facts.get("action", "")))
        class_seq = (connection.execute(_LAST_IN_CLASS, {"wanted": kind.class_uid}).scalar() or 0) + 1
        time_ms = now_ms()
        salts = {field: secrets.token_bytes(SALT_BYTES) for field in event.sealed}
        leaf = {
            "v": FORMAT_VERSION,
            "seq": seq,
            "class_seq": class_seq,
            "time": utc_text(time_ms),
            "boot_id": self.boot_id,
            "mono_ns": str(time.monotonic_ns()),
            "class_uid": kind.class_uid,
            "activity_id": kind.activity_id,
            "actor_pseudonym": event.principal.pseudonym,
            "action": str(event.name),
            "resources": [{"kind": ref.kind, "id": ref.id} for ref in event.resources],
            "decision": _decision(event),
            "policy_set_sha256": self.policy_set_sha256,
            "status": str(event.outcome),
            "corr_id": event.correlation_id,
            "prev": previous.hex(),
            "_sd": {field: commitment(salts[field], field, value) for field, value in event.sealed.items()},
            **_optional(event),
        }
        body = canonical_json(leaf)
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"an audit leaf of {len(body)} bytes; the limit is {MAX_BODY_BYTES}")
        columns = {
            "seq": seq,
            "class_uid": kind.class_uid,
            "class_seq": class_seq,
            "time_ms": time_ms,
            "event": str(event.name),
            "actor_pseudonym": event.principal.pseudonym,
            "outcome": str(event.outcome),
            "body": body,
            "leaf_hash": leaf_hash(body),
        }
        connection.execute(_INSERT, columns)
        unique = [{"seq": seq, "kind": what, "resource_id": identifier} for what, identifier in sorted(indexed_resources(leaf))]
        if unique:
            connection.execute(insert(audit_resources), unique)
        self._seal(connection, seq, event, salts)
        return seq

    def _seal(self, connection: Connection, seq: int, event: AuditEvent, salts: dict[str, bytes]) -> None:
        subject = _subject(event)
        rows = [
            {
                "seq": seq,
                "field": field,
                "subject": subject,
                "sealed_value": seal(self.sealing_key, subject=subject, seq=seq, field=field, salt=salts[field], value=value),
            }
            for field, value in event.sealed.items()
        ]
        if rows:
            connection.execute(insert(audit_sealed), rows)


def utc_text(time_ms: int) -> str:
    """RFC 3339 with milliseconds: `2026-01-31T08:30:00.000Z`."""
    whole, rest = divmod(time_ms, 1_000)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:03d}Z"


def _decision(event: AuditEvent) -> str:
    if event.name in _REFUSALS:
        return "deny"
    # the box asks no policy about its own acts
    return "none" if event.principal.id == SYSTEM.id else "allow"


def _subject(event: AuditEvent) -> str:
    """Whose values are sealed: where nothing else is said, those of whoever acted, or had the box act."""
    return event.sealed_subject or (event.on_behalf_of or event.principal).pseudonym


def _optional(event: AuditEvent) -> dict[str, Any]:
    """Members that stand in a leaf only where there is something to say."""
    members: dict[str, Any] = {}
    if event.on_behalf_of is not None:
        members["on_behalf_of"] = event.on_behalf_of.pseudonym
    if event.sealed and _subject(event) != (event.on_behalf_of or event.principal).pseudonym:
        members["sealed_of"] = _subject(event)
    key_id = (event.on_behalf_of or event.principal).key_id
    if event.facts or key_id:
        members["facts"] = {**event.facts, **({"key_id": key_id} if key_id else {})}
    return members

"""Reads the log: by filter, newest first for people, oldest first and in batches for exports.

A leaf names people by pseudonym only; their names are joined from the table of people as it is at the time of reading.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, cast, func, select, union

from appliance.audit import sealing
from appliance.audit.events import EventName, Outcome, ResourceRef
from appliance.storage.tables import audit_events, audit_resources, audit_sealed, principals

BATCH = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to look for; a field left at None lets everything through. Times in milliseconds, `until_ms` not included.

    `pseudonym` finds what a person did, what was done on their behalf, and what was done to their account.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    pseudonym: str | None = None
    event: EventName | None = None
    outcome: Outcome | None = None
    resource: ResourceRef | None = None
    through_seq: int | None = None

    def facts(self) -> dict[str, str | int]:
        """The filter as facts of an audit event: ids, names of events and numbers only."""
        given = {
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "person": self.pseudonym,
            "event": self.event and str(self.event),
            "outcome": self.outcome and str(self.outcome),
            "resource": self.resource and f"{self.resource.kind}/{self.resource.id}",
            "through_seq": self.through_seq,
        }
        return {f"filter_{name}": value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One leaf, opened for reading. `body` is the very bytes that were hashed into `leaf_hash`."""

    seq: int
    time_ms: int
    event: str
    actor_pseudonym: str
    actor_name: str | None
    outcome: str
    decision: str
    class_uid: int
    activity_id: int
    resources: tuple[ResourceRef, ...]
    facts: dict[str, str | int]
    correlation_id: str
    on_behalf_of: str | None
    on_behalf_of_name: str | None
    sealed_fields: tuple[str, ...]
    leaf_hash: bytes = field(repr=False)
    body: bytes = field(repr=False)


def search(connection: Connection, wanted: AuditFilter, *, before_seq: int | None = None, limit: int = 100) -> list[AuditRecord]:
    """At most `limit` records, newest first, older than `before_seq`."""
    query = select(audit_events).where(*_conditions(wanted)).order_by(audit_events.c.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(audit_events.c.seq < before_seq)
    return _records(connection, connection.execute(query).all())


def following(connection: Connection, wanted: AuditFilter, *, after_seq: int = 0, limit: int = BATCH) -> list[AuditRecord]:
    """At most `limit` records, oldest first, after `after_seq`: one step of a walk through the log."""
    query = (
        select(audit_events).where(audit_events.c.seq > after_seq, *_conditions(wanted)).order_by(audit_events.c.seq).limit(limit)
    )
    return _records(connection, connection.execute(query).all())


def count(connection: Connection, wanted: AuditFilter) -> int:
    """How many records match."""
    return connection.execute(select(func.count()).select_from(audit_events).where(*_conditions(wanted))).scalar_one()


def count_gone(connection: Connection, wanted: AuditFilter) -> int:
    """How many values that records which match have a commitment to are not there any more."""
    within = _conditions(wanted)
    fields = func.json_each(cast(audit_events.c.body, Text), "$._sd").table_valued("key", joins_implicitly=True)
    committed = select(func.count()).select_from(audit_events, fields).where(*within)
    kept = select(func.count()).select_from(audit_events.join(audit_sealed)).where(*within)
    return connection.execute(committed).scalar_one() - connection.execute(kept).scalar_one()


def first_about(connection: Connection, resource: ResourceRef) -> int:
    """The number of the first record about it; 0 where there is none."""
    about = (audit_resources.c.kind == resource.kind, audit_resources.c.resource_id == resource.id)
    return connection.execute(select(func.min(audit_resources.c.seq)).where(*about)).scalar() or 0


def names_person(connection: Connection, pseudonym: str) -> bool:
    """Whether a record is by or about somebody of this pseudonym."""
    by = select(audit_events.c.seq).where(audit_events.c.actor_pseudonym == pseudonym).limit(1)
    return connection.execute(by).first() is not None or bool(first_about(connection, ResourceRef("person", pseudonym)))


def matching_seqs(connection: Connection, wanted: AuditFilter) -> list[int]:
    """The numbers of all records that match, ascending."""
    query = select(audit_events.c.seq).where(*_conditions(wanted)).order_by(audit_events.c.seq)
    return list(connection.execute(query).scalars())


def actor_names(connection: Connection, wanted: AuditFilter) -> dict[str, str]:
    """By pseudonym the names, as of now, of those who acted in the records that match."""
    actors = select(audit_events.c.actor_pseudonym).where(*_conditions(wanted))
    return _named(connection, principals.c.pseudonym.in_(actors))


def numbered(connection: Connection, seqs: Sequence[int]) -> list[AuditRecord]:
    """The records of these numbers, ascending; at most a batch of them."""
    query = select(audit_events).where(audit_events.c.seq.in_(seqs)).order_by(audit_events.c.seq)
    return _records(connection, connection.execute(query).all())


def begun_ms(connection: Connection) -> int | None:
    """The time of the first record; None for an empty log."""
    return connection.execute(select(audit_events.c.time_ms).where(audit_events.c.seq == 1)).scalar()


def last_seq(connection: Connection) -> int:
    """The number of the newest record, 0 for an empty log."""
    return connection.execute(select(func.max(audit_events.c.seq))).scalar() or 0


def unseal(connection: Connection, sealing_key: bytes, seq: int) -> dict[str, str]:
    """The sealed values of a record that were not erased, by field. Raises `Unavailable` if one was altered."""
    return {field: value for field, (_, value) in opened(connection, sealing_key, seq).items()}


def opened(connection: Connection, sealing_key: bytes, seq: int) -> dict[str, tuple[bytes, str]]:
    """As `unseal`, each value after the salt it was committed to with."""
    rows = connection.execute(select(audit_sealed).where(audit_sealed.c.seq == seq))
    return {
        row.field: sealing.unseal(sealing_key, subject=row.subject, seq=seq, field=row.field, sealed=row.sealed_value)
        for row in rows
    }


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    table = audit_events.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.since_ms is not None:
        conditions.append(table.time_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(table.time_ms < wanted.until_ms)
    if wanted.event is not None:
        conditions.append(table.event == str(wanted.event))
    if wanted.outcome is not None:
        conditions.append(table.outcome == str(wanted.outcome))
    if wanted.through_seq is not None:
        conditions.append(table.seq <= wanted.through_seq)
    if wanted.resource is not None:
        conditions.append(table.seq.in_(_about(wanted.resource)))
    if wanted.pseudonym is not None:
        by = select(table.seq).where(table.actor_pseudonym == wanted.pseudonym)
        conditions.append(table.seq.in_(union(by, _about(ResourceRef("person", wanted.pseudonym)))))
    return conditions


def _about(resource: ResourceRef) -> Any:
    return select(audit_resources.c.seq).where(
        audit_resources.c.kind == resource.kind, audit_resources.c.resource_id == resource.id
    )


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[AuditRecord]:
    leaves = [json.loads(row.body) for row in rows]
    pseudonyms = {leaf["actor_pseudonym"] for leaf in leaves} | {leaf.get("on_behalf_of") for leaf in leaves}
    names = names_of(connection, pseudonyms - {None})
    return [_record(row, leaf, names) for row, leaf in zip(rows, leaves, strict=True)]


def names_of(connection: Connection, pseudonyms: set[str]) -> dict[str, str]:
    """Names as of now, by pseudonym."""
    return _named(connection, principals.c.pseudonym.in_(sorted(pseudonyms)))


def _named(connection: Connection, which: ColumnElement[bool]) -> dict[str, str]:
    """Names by pseudonym; a deleted account has none."""
    wanted = select(principals.c.pseudonym, principals.c.name).where(which, principals.c.deleted_ms.is_(None))
    return {row.pseudonym: row.name for row in connection.execute(wanted)}


def _record(row: Row[Any], leaf: dict[str, Any], names: dict[str, str]) -> AuditRecord:
    behalf = leaf.get("on_behalf_of")
    return AuditRecord(
        seq=row.seq,
        time_ms=row.time_ms,
        event=leaf["action"],
        actor_pseudonym=leaf["actor_pseudonym"],
        actor_name=names.get(leaf["actor_pseudonym"]),
        outcome=leaf["status"],
        decision=leaf["decision"],
        class_uid=leaf["class_uid"],
        activity_id=leaf["activity_id"],
        resources=tuple(ResourceRef(item["kind"], item["id"]) for item in leaf["resources"]),
        facts=leaf.get("facts", {}),
        correlation_id=leaf["corr_id"],
        on_behalf_of=behalf,
        on_behalf_of_name=names.get(behalf) if behalf else None,
        sealed_fields=tuple(sorted(leaf["_sd"])),
        leaf_hash=row.leaf_hash,
        body=row.body,
    )

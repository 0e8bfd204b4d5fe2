"""Checks the log from its first leaf to its last, from inside the box.

Finds an edited, removed, inserted or renumbered leaf, an index row that says other than its leaf, a sealed value that does not
match its commitment, one that is gone though no leaf says that it was erased, and a leaf that says so though the box could not
have done it by then. It cannot find a log whose end was cut off, one that was rewritten as a whole with new hashes, or leaves
that somebody with the root key appended and that fit those before: against the first two somebody outside the box must hold an
older checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from appliance.audit import sealing
from appliance.audit.canonical import NO_PREVIOUS, canonical_json, commitment, indexed_resources, leaf_hash
from appliance.audit.erasing import Ledger, subject_of
from appliance.audit.log import utc_text
from appliance.errors import Unavailable
from appliance.storage.append_only import TRIGGERS
from appliance.storage.tables import audit_events, audit_resources, audit_sealed

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Integrity:
    """The result: how many leaves hold, and the first number that does not, with the reason.

    `erased` counts values that were committed to and are gone, as leaves `audit.erased` say. `vanished` are the numbers of the
    leaves whose values went without one: somebody with the root key removed them, or did so before there were such leaves.
    """

    checked: int
    first_bad_seq: int | None = None
    reason: str = ""
    erased: int = 0
    vanished: tuple[int, ...] = ()

    @property
    def intact(self) -> bool:
        return self.first_bad_seq is None


def check(connection: Connection, sealing_key: bytes | None = None) -> Integrity:
    """Walk the whole log. With the sealing key, the values that were not erased are checked too."""
    walk = _Walk(connection, sealing_key)
    for row in _rows(connection):
        fault = walk.fault(row)
        if fault:
            return Integrity(walk.checked, min(row.seq, walk.checked + 1), fault)
    for table in (audit_resources, audit_sealed):
        orphan = connection.execute(select(func.min(table.c.seq)).where(table.c.seq > walk.checked)).scalar()
        if orphan is not None:
            return Integrity(walk.checked, orphan, f"{table.name} speaks of a leaf that is not there")
    return Integrity(walk.checked, erased=walk.ledger.erased, vanished=tuple(walk.ledger.vanished()))


def foreign_triggers(connection: Connection) -> list[str]:
    """Names of triggers that are missing, altered, or were never ours: nothing but them keeps the log append-only."""
    found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return sorted({name for name, _ in set(TRIGGERS.items()) ^ {(row.name, row.sql) for row in found}})


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    after: int | None = None
    while True:
        query = select(audit_events).order_by(audit_events.c.seq).limit(_BATCH)
        batch = connection.execute(query if after is None else query.where(audit_events.c.seq > after)).all()
        if not batch:
            return
        yield from batch
        after = batch[-1].seq


class _Walk:
    """What has to be remembered from one leaf to the next."""

    def __init__(self, connection: Connection, sealing_key: bytes | None) -> None:
        self.checked = 0
        self.ledger = Ledger()
        self._connection = connection
        self._sealing_key = sealing_key
        self._previous = NO_PREVIOUS
        self._class_seqs: dict[int, int] = {}

    def fault(self, row: Row[Any]) -> str:
        """What is wrong with the next row, or nothing."""
        try:
            leaf = json.loads(row.body)
            found = (
                self._chain_fault(row, leaf)
                or _index_fault(self._connection, row, leaf)
                or self._sealed_fault(leaf)
                or self.ledger.told(leaf)
            )
        except (ValueError, KeyError, TypeError) as error:
            return f"the leaf cannot be read: {error!r}"
        if not found:
            self._class_seqs[row.class_uid] = row.class_seq
            self._previous = row.leaf_hash
            self.checked = row.seq
        return found

    def _chain_fault(self, row: Row[Any], leaf: dict[str, Any]) -> str:
        checks = {
            "a leaf is missing, or one stands before the first": row.seq == self.checked + 1 == leaf["seq"],
            "the leaf does not have the hash it is stored with": leaf_hash(row.body) == row.leaf_hash,
            "the leaf is not in canonical form": canonical_json(leaf) == row.body,
            "the leaf does not follow the one before it": leaf["prev"] == self._previous.hex(),
            "the numbers within the class have a gap": (leaf["class_seq"] == self._class_seqs.get(leaf["class_uid"], 0) + 1),
        }
        return next((sentence for sentence, holds in checks.items() if not holds), "")

    def _sealed_fault(self, leaf: dict[str, Any]) -> str:
        stored = self._connection.execute(select(audit_sealed).where(audit_sealed.c.seq == leaf["seq"])).all()
        self.ledger.gone(leaf, len(leaf["_sd"]) - len(stored))
        return next(filter(None, (_value_fault(row, leaf, self._sealing_key) for row in stored)), "")


def _index_fault(connection: Connection, row: Row[Any], leaf: dict[str, Any]) -> str:
    columns = {
        "class_uid": row.class_uid,
        "class_seq": row.class_seq,
        "time": utc_text(row.time_ms),
        "action": row.event,
        "actor_pseudonym": row.actor_pseudonym,
        "status": row.outcome,
    }
    for name, value in columns.items():
        if leaf[name] != value:
            return f"the index says other than the leaf about {name}"
    stored = connection.execute(
        select(audit_resources.c.kind, audit_resources.c.resource_id).where(audit_resources.c.seq == row.seq)
    )
    if {tuple(item) for item in stored} != indexed_resources(leaf):
        return "the index says other than the leaf about resources"
    return ""


def _value_fault(sealed: Row[Any], leaf: dict[str, Any], sealing_key: bytes | None) -> str:
    commitments = leaf["_sd"]
    if sealed.field not in commitments:
        return f"the sealed value {sealed.field} was never committed to"
    if sealed.subject != subject_of(leaf):
        return f"the sealed value {sealed.field} is said to be somebody else's"
    if sealing_key is None:
        return ""
    try:
        salt, value = sealing.unseal(
            sealing_key, subject=sealed.subject, seq=sealed.seq, field=sealed.field, sealed=sealed.sealed_value
        )
    except Unavailable:
        return f"the sealed value {sealed.field} was altered"
    if commitment(salt, sealed.field, value) != commitments[sealed.field]:
        return f"the sealed value {sealed.field} is not the one committed to"
    return ""

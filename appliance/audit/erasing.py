"""Erases what is sealed of one person, batch by batch, each with a leaf of its own that says how many values went and from where.

The database lets a sealed value go only beside such a leaf (storage/append_only.py), and the check of the log (integrity.py)
takes every other value that is gone for a finding.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from appliance.audit.events import EventName, Outcome
from appliance.identity.models import NOBODY, SYSTEM
from appliance.storage.tables import audit_sealed, holds, principals

BATCH = 2_000
# where older leaves do not say whose values are sealed beside them, these are of the person among their resources
_OF_RESOURCE = frozenset({EventName.PERSON_CREATED, EventName.SESSION_REFUSED})
_TELLING = frozenset({EventName.PERSON_DELETED, EventName.HOLD_PLACED, EventName.HOLD_LIFTED, EventName.AUDIT_ERASED})


@dataclass(frozen=True, slots=True)
class Batch:
    """How many values, and the numbers of the first and last leaf that they are sealed beside."""

    values: int
    first: int
    last: int

    def facts(self) -> dict[str, str | int]:
        return {"values": self.values, "first": self.first, "last": self.last}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A deleted account of which so many values are still sealed."""

    pseudonym: str
    deleted_ms: int
    values: int
    held: bool


def next_batch(connection: Connection, pseudonym: str) -> Batch | None:
    """The oldest values that are still there, None where nothing is."""
    of_person = select(audit_sealed.c.seq).where(audit_sealed.c.subject == pseudonym).order_by(audit_sealed.c.seq).limit(BATCH)
    # a leaf may have several values: those of the last one go together, so that no two batches share a number
    last = connection.execute(select(func.max(of_person.subquery().c.seq))).scalar()
    if last is None:
        return None
    within = (audit_sealed.c.subject == pseudonym, audit_sealed.c.seq <= last)
    first, values = connection.execute(select(func.min(audit_sealed.c.seq), func.count()).where(*within)).one()
    return Batch(values, first, last)


def erase(connection: Connection, pseudonym: str, batch: Batch) -> None:
    """Call it right after the leaf that tells of the batch, in the same write."""
    within = (audit_sealed.c.subject == pseudonym, audit_sealed.c.seq.between(batch.first, batch.last))
    connection.execute(delete(audit_sealed).where(*within))


def leftovers(connection: Connection) -> list[Leftover]:
    """Deleted accounts of which something is still sealed, the one deleted last first."""
    sealed = select(func.count()).where(audit_sealed.c.subject == principals.c.pseudonym).scalar_subquery()
    query = (
        select(principals.c.pseudonym, principals.c.deleted_ms, sealed, holds.c.pseudonym.is_not(None))
        .select_from(principals)
        .outerjoin(holds, holds.c.pseudonym == principals.c.pseudonym)
        .where(principals.c.deleted_ms.is_not(None), sealed > 0)
        .order_by(principals.c.deleted_ms.desc())
    )
    return [Leftover(*row) for row in connection.execute(query)]


def subject_of(leaf: dict[str, Any]) -> str:
    """The pseudonym under which the values of a leaf are sealed."""
    if "sealed_of" in leaf:
        return str(leaf["sealed_of"])
    if leaf["action"] in _OF_RESOURCE:
        return _person(leaf) or str(leaf["actor_pseudonym"])
    return str(leaf.get("on_behalf_of", leaf["actor_pseudonym"]))


def _person(leaf: dict[str, Any]) -> str:
    """Whom the leaf is about, or nothing."""
    return next((str(item["id"]) for item in leaf["resources"] if item["kind"] == "person"), "")


class Ledger:
    """Holds the values that are gone against the leaves that say so; fed with the log in ascending order.

    A leaf `audit.erased` is believed only where the act could have written it: what the log says before it decides.
    """

    def __init__(self) -> None:
        self.erased = 0
        self._gone: dict[str, list[int]] = defaultdict(list)
        self._deleted: set[str] = set()
        self._held: set[str] = set()

    def gone(self, leaf: dict[str, Any], values: int) -> None:
        """`values` of those sealed beside this leaf are not there any more."""
        if values:
            self._gone[subject_of(leaf)] += [leaf["seq"]] * values

    def told(self, leaf: dict[str, Any]) -> str:
        """Remember whom a leaf says to be deleted, held or let go; what is wrong with an `audit.erased`, or nothing."""
        if leaf["action"] not in _TELLING:
            return ""
        person = _person(leaf)
        match leaf["action"]:
            case EventName.PERSON_DELETED:
                if leaf["status"] == Outcome.SUCCESS:
                    self._deleted.add(person)
            case EventName.HOLD_PLACED:
                self._held.add(person)
            case EventName.HOLD_LIFTED:
                self._held.discard(person)
            case _:
                return self._unbelievable(leaf, person) or self._settled(leaf["facts"], person)
        return ""

    def _unbelievable(self, leaf: dict[str, Any], person: str) -> str:
        values, first, last = (leaf["facts"][name] for name in ("values", "first", "last"))
        if leaf["actor_pseudonym"] in {SYSTEM.pseudonym, NOBODY.pseudonym} or "on_behalf_of" in leaf:
            return "it says that values were erased, and no officer did it"
        if person not in self._deleted:
            return "it says that values were erased of somebody whose account was not deleted by then"
        if person in self._held:
            return "it says that values were erased of somebody who was held"
        # an exact type, since a bool is an int to Python
        counted = all(type(each) is int for each in (values, first, last))
        if not (counted and values >= 1 and 1 <= first <= last < leaf["seq"]):
            return "it says that values were erased, and its numbers cannot be"
        return ""

    def _settled(self, facts: dict[str, int], person: str) -> str:
        """Take out what is told of."""
        gone = self._gone[person]
        inside = [seq for seq in gone if facts["first"] <= seq <= facts["last"]]
        if len(inside) < facts["values"]:
            return f"it says that {facts['values']} sealed values were erased, and {len(inside)} are gone"
        self.erased += facts["values"]
        self._gone[person] = [seq for seq in gone if not facts["first"] <= seq <= facts["last"]] + inside[facts["values"] :]
        return ""

    def vanished(self) -> list[int]:
        """By the numbers of their leaves: the values that went without a leaf that says so."""
        return sorted(seq for gone in self._gone.values() for seq in gone)

"""Holds and erasure, as compliance officers see and ask for them."""

from __future__ import annotations

import msgspec

from appliance.administration.erasure import Erased
from appliance.administration.holds import Holdings
from appliance.audit.store import AuditRecord


class Reasoned(msgspec.Struct, forbid_unknown_fields=True):
    reason: str


class ReasonedFor(msgspec.Struct, forbid_unknown_fields=True):
    """`person` is a pseudonym."""

    person: str
    reason: str


class HoldOut(msgspec.Struct):
    """`name` is None of a deleted account; `placed_seq` is the entry of the log that has the reason."""

    person: str
    name: str | None
    placed_by: str
    placed_ms: int
    placed_seq: int


class LeftoverOut(msgspec.Struct):
    """A deleted account of which `values` are still sealed."""

    person: str
    deleted_ms: int
    values: int
    held: bool


class HoldingsOut(msgspec.Struct):
    holds: list[HoldOut]
    leftovers: list[LeftoverOut]

    @classmethod
    def of(cls, found: Holdings) -> HoldingsOut:
        names = found.names
        return cls(
            [
                HoldOut(
                    hold.pseudonym,
                    names.get(hold.pseudonym),
                    names.get(hold.placed_by, hold.placed_by),
                    hold.placed_ms,
                    hold.placed_seq,
                )
                for hold in found.holds
            ],
            [LeftoverOut(each.pseudonym, each.deleted_ms, each.values, each.held) for each in found.leftovers],
        )


class CopyOut(msgspec.Struct):
    """Something that left the log's reach before; `format` is empty for a backup."""

    seq: int
    time_ms: int
    format: str

    @classmethod
    def of(cls, record: AuditRecord) -> CopyOut:
        return cls(record.seq, record.time_ms, str(record.facts.get("format", "")))


class ErasedOut(msgspec.Struct):
    """`kept_copies` are the times of those that upgrades keep on this box.

    `remains_on_disk` where readers kept the write-ahead log from being emptied.
    """

    values: int
    first: int
    last: int
    exports: list[CopyOut]
    backups: list[CopyOut]
    kept_copies: list[int]
    remains_on_disk: bool

    @classmethod
    def of(cls, done: Erased) -> ErasedOut:
        exports, backups = ([CopyOut.of(record) for record in records] for records in (done.exports, done.backups))
        kept = [copy.made_ms for copy in done.kept_copies]
        return cls(done.values, done.first, done.last, exports, backups, kept, done.remains_on_disk)

"""The compliance officer's view of the log. Looking is an act like any other and stands in the log itself."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from appliance.audit import store
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog, utc_text
from appliance.audit.store import AuditFilter, AuditRecord
from appliance.errors import InvalidInput, NotFound
from appliance.identity import store as identity_store
from appliance.identity.models import Principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import AUDIT_LOG
from appliance.storage.database import Database

_MAX_LIMIT = 500
_MAX_NUMBER = 2**53 - 1  # of times and sequence numbers: what a leaf, and JSON, can hold
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_COLUMNS = (
    "seq",
    "time",
    "event",
    "actor_pseudonym",
    "actor_name",
    "on_behalf_of",
    "outcome",
    "decision",
    "class_uid",
    "activity_id",
    "resources",
    "facts",
    "correlation_id",
    "leaf_hash",
)
# a cell that begins with one of these is a formula to a spreadsheet
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class AuditReview:
    """Searching, disclosing and exporting."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def search(
        self, principal: Principal, wanted: AuditFilter, *, before_seq: int | None = None, limit: int = 100
    ) -> list[AuditRecord]:
        """Records newest first, with the names of people as of today. The search is recorded before it is answered."""
        self._access.require(principal, Action.AUDIT_READ, AUDIT_LOG)
        if not 1 <= limit <= _MAX_LIMIT:
            raise InvalidInput(f"Ask for 1 to {_MAX_LIMIT} records at a time.", code="audit.limit", maximum=_MAX_LIMIT)
        _check(wanted, before_seq)
        # looked up before the write lock is taken: a search through years must not hold up the others
        with self._database.read() as connection:
            records = store.search(connection, wanted, before_seq=before_seq, limit=limit)
        self._record(EventName.AUDIT_READ, principal, wanted.facts() | {"records": len(records)})
        return records

    def disclose(self, principal: Principal, seq: int) -> dict[str, str]:
        """The sealed values of one record that were not erased, by field: a name that was typed, an address."""
        self._access.require(principal, Action.AUDIT_READ, AUDIT_LOG)
        with self._database.read() as connection:
            if not 1 <= seq <= store.last_seq(connection):
                raise NotFound("There is no such record.", code="audit.not_found")
            values = store.unseal(connection, self._audit.sealing_key, seq)
        facts: dict[str, str | int] = {"disclosed": ",".join(sorted(values)) or "none"}
        self._record(EventName.AUDIT_DISCLOSED, principal, facts, (ResourceRef("audit_record", str(seq)),))
        return values

    def people(self, principal: Principal) -> list[tuple[str, str]]:
        """Pseudonym and name of everybody, for choosing whom to filter by."""
        self._access.require(principal, Action.AUDIT_READ, AUDIT_LOG)
        with self._database.read() as connection:
            accounts = identity_store.list_principals(connection)
        return [(item.principal.pseudonym, item.principal.name) for item in accounts]

    def export(self, principal: Principal, wanted: AuditFilter, format: str) -> Iterator[bytes]:  # noqa: A002
        """All matching records up to this moment, oldest first, as "csv" or "jsonl", in pieces of one batch.

        Refusals and the record of the export happen now, before the first piece is asked for.
        """
        self._access.require(principal, Action.AUDIT_EXPORT, AUDIT_LOG)
        renderers: dict[str, Callable[[Sequence[AuditRecord]], bytes]] = {"csv": _csv, "jsonl": _jsonl}
        if format not in renderers:
            raise InvalidInput("An export is csv or jsonl.", code="audit.format")
        _check(wanted)
        with self._database.read() as connection:
            newest = store.last_seq(connection)
            bounded = replace(wanted, through_seq=min(newest, wanted.through_seq or newest))
            facts = bounded.facts() | {"format": format, "records": store.count(connection, bounded)}
        self._record(EventName.AUDIT_EXPORTED, principal, facts)
        return self._pieces(bounded, renderers[format], _csv_line(_COLUMNS) if format == "csv" else b"")

    def _record(
        self, name: EventName, principal: Principal, facts: dict[str, str | int], about: tuple[ResourceRef, ...] = ()
    ) -> None:
        with self._database.write() as connection:
            self._audit.append(connection, AuditEvent(name, principal, resources=about, facts=facts))

    def _pieces(self, wanted: AuditFilter, render: Callable[[Sequence[AuditRecord]], bytes], opening: bytes) -> Iterator[bytes]:
        if opening:
            yield opening
        after = 0
        while True:
            # a snapshot per batch: a slow reader must not hold the write-ahead log for hours
            with self._database.read() as connection:
                batch = store.following(connection, wanted, after_seq=after)
            if not batch:
                return
            yield render(batch)
            after = batch[-1].seq


def _check(wanted: AuditFilter, before_seq: int | None = None) -> None:
    """Raise `InvalidInput` for a filter nothing can match: it becomes facts of a leaf, where only ids and numbers may stand."""
    numbers = (wanted.since_ms, wanted.until_ms, wanted.through_seq, before_seq)
    ids = (wanted.pseudonym, wanted.resource.kind if wanted.resource else None, wanted.resource.id if wanted.resource else None)
    numeric = all(number is None or 0 <= number <= _MAX_NUMBER for number in numbers)
    if not numeric or not all(given is None or _ID.fullmatch(given) for given in ids):
        raise InvalidInput("The filter asks for something that no record can have.", code="audit.filter")


def _csv(records: Sequence[AuditRecord]) -> bytes:
    return b"".join(_csv_line([str(cell) for cell in _cells(record)]) for record in records)


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell for cell in cells])
    return line.getvalue().encode()


def _cells(record: AuditRecord) -> tuple[str | int, ...]:
    return (
        record.seq,
        utc_text(record.time_ms),
        record.event,
        record.actor_pseudonym,
        record.actor_name or "",
        record.on_behalf_of or "",
        record.outcome,
        record.decision,
        record.class_uid,
        record.activity_id,
        " ".join(f"{ref.kind}/{ref.id}" for ref in record.resources),
        json.dumps(record.facts, ensure_ascii=False, sort_keys=True) if record.facts else "",
        record.correlation_id,
        record.leaf_hash.hex(),
    )


def _jsonl(records: Sequence[AuditRecord]) -> bytes:
    """One object a line; `body` is the canonical leaf as a string, so that its very bytes can be hashed again."""
    lines = (
        json.dumps(
            {
                "seq": record.seq,
                "time": utc_text(record.time_ms),
                "event": record.event,
                "actor_name": record.actor_name,
                "leaf_hash": record.leaf_hash.hex(),
                "body": record.body.decode(),
            },
            ensure_ascii=False,
        )
        for record in records
    )
    return "".join(f"{line}\n" for line in lines).encode()

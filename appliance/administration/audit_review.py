"""The compliance officer's view of the log. Looking is an act like any other and stands in the log itself."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from sqlalchemy import Connection

from appliance.administration.audit_tables import TABLES, Table
from appliance.audit import evidence, store
from appliance.audit.bundle import FORMAT, Disclosed, Header, Line, Names, Wanted, as_text, encoded, names_commitment
from appliance.audit.checkpoints import Checkpoints, Occasion
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog, utc_text
from appliance.audit.sealing import SALT_BYTES
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
ENDINGS = MappingProxyType({"csv": "csv", "jsonl": "jsonl", "bundle": "bundle.jsonl", "checkpoint": "checkpoint.jsonl"})
"""How the name of a file ends, by format of the export."""

_PROVEN = ("bundle", "checkpoint")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MADE = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")


class AuditReview:
    """Searching, disclosing and exporting."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, checkpoints: Checkpoints) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._checkpoints = checkpoints

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
            _require_known(connection, wanted)
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
        self._record_disclosure(principal, seq, values)
        return values

    def people(self, principal: Principal) -> list[tuple[str, str]]:
        """Pseudonym and name of everybody, for choosing whom to filter by; of deleted accounts without a name."""
        self._access.require(principal, Action.AUDIT_READ, AUDIT_LOG)
        with self._database.read() as connection:
            accounts = identity_store.list_principals(connection)
            gone = identity_store.deleted_pseudonyms(connection)
        return [(item.principal.pseudonym, item.principal.name) for item in accounts] + [(each, "") for each in gone]

    def export(
        self,
        principal: Principal,
        wanted: AuditFilter,
        format: str,  # noqa: A002
        *,
        since: int | None = None,
        whole: bool = False,
        disclose: Sequence[int] = (),
    ) -> Iterator[bytes]:
        """All matching records up to this moment, oldest first, in pieces of one batch.

        "csv" and "jsonl" are for reading. "bundle" can be verified without the box, with a proof that the log has only grown
        since it had `since` leaves; `whole` adds every leaf that could match, however little the filter asks for; the sealed
        values of the records `disclose` are opened in it. "checkpoint" is a bundle without records. Refusals and the record of
        the export happen now, before the first piece is asked for.

        Raises beside refusals `InvalidInput` (`audit.format`, `audit.filter`, `audit.since`), `NotFound` (`audit.not_found`) and
        `Unavailable` (`audit.rewritten`).
        """
        self._access.require(principal, Action.AUDIT_EXPORT, AUDIT_LOG)
        if format not in {*TABLES, *_PROVEN}:
            raise InvalidInput("An export is csv, jsonl, bundle or checkpoint.", code="audit.format")
        if (format in TABLES and (whole or since is not None)) or (format != "bundle" and disclose):
            raise InvalidInput("Only a bundle proves something or opens what is sealed.", code="audit.format")
        if disclose:
            self._access.require(principal, Action.AUDIT_READ, AUDIT_LOG)
        _check(wanted)
        with self._database.read() as connection:
            _require_known(connection, wanted)
            newest = store.last_seq(connection)
            bounded = replace(wanted, through_seq=min(newest, wanted.through_seq or newest))
            matching = store.count(connection, bounded) if format != "checkpoint" else 0
            unknown = set(disclose) - set(store.matching_seqs(connection, bounded)) if disclose else set()
            gone = store.count_gone(connection, bounded) if format == "bundle" else 0
            names = _salted(store.actor_names(connection, bounded)) if format == "bundle" else None
        if since is not None and not 1 <= since <= newest:
            raise InvalidInput(f"This log has {newest} entries; it cannot have had {since}.", code="audit.since")
        if unknown:
            raise NotFound(f"Entry {min(unknown)} is not in this export.", code="audit.not_found")
        values = {seq: self._disclosed(principal, seq) for seq in disclose}
        facts: dict[str, str | int] = {"format": format, "records": matching}
        if format != "checkpoint":
            facts |= bounded.facts()
        if names is not None:
            opened = sum(map(len, values.values()))
            facts |= {"names": names_commitment(names), "disclosed": opened, "gone": gone}
        exported = self._record(EventName.AUDIT_EXPORTED, principal, facts)
        if format in TABLES:
            return self._pieces(bounded, TABLES[format])
        return self._proven(None if format == "checkpoint" else bounded, exported, names, values, since=since, whole=whole)

    def _proven(
        self,
        wanted: AuditFilter | None,
        export_seq: int,
        names: Names | None,
        values: dict[int, dict[str, Disclosed]],
        *,
        since: int | None,
        whole: bool,
    ) -> Iterator[bytes]:
        signed = self._checkpoints.sign(Occasion.EXPORT)
        with self._database.read() as connection:
            gathered = evidence.gather(
                connection, wanted, size=signed.checkpoint.size, export_seq=export_seq, since=since, whole=whole
            )
        header = Header(
            format=FORMAT,
            verifier_key=str(self._checkpoints.verifier),
            checkpoint=signed.note,
            filter=None if wanted is None else Wanted.of(wanted),
            export_seq=export_seq,
            stretch=gathered.stretch,
            since=gathered.since,
            names=names,
            lines=len(gathered.seqs),
            hashes=gathered.hashes,
        )
        return self._lines(header, gathered, values)

    def _lines(self, header: Header, gathered: evidence.Evidence, values: dict[int, dict[str, Disclosed]]) -> Iterator[bytes]:
        yield encoded(header)
        names = header.names.of if header.names else {}
        for start in range(0, len(gathered.seqs), store.BATCH):
            with self._database.read() as connection:
                records = store.numbered(connection, gathered.seqs[start : start + store.BATCH])
            lines = [
                _line(record, names, match=record.seq in gathered.matching, disclosed=values.get(record.seq, {}))
                for record in records
            ]
            yield b"".join(map(encoded, lines))

    def _disclosed(self, principal: Principal, seq: int) -> dict[str, Disclosed]:
        with self._database.read() as connection:
            opened = store.opened(connection, self._audit.sealing_key, seq)
        self._record_disclosure(principal, seq, opened)
        return {field: Disclosed(as_text([salt])[0], value) for field, (salt, value) in opened.items()}

    def _record_disclosure(self, principal: Principal, seq: int, fields: Iterable[str]) -> None:
        facts: dict[str, str | int] = {"disclosed": ",".join(sorted(fields)) or "none"}
        self._record(EventName.AUDIT_DISCLOSED, principal, facts, (ResourceRef("audit_record", str(seq)),))

    def _record(
        self, name: EventName, principal: Principal, facts: dict[str, str | int], about: tuple[ResourceRef, ...] = ()
    ) -> int:
        with self._database.write() as connection:
            return self._audit.append(connection, AuditEvent(name, principal, resources=about, facts=facts))

    def _pieces(self, wanted: AuditFilter, table: Table) -> Iterator[bytes]:
        if table.opening:
            yield table.opening
        after = 0
        while True:
            # a snapshot per batch: a slow reader must not hold the write-ahead log for hours
            with self._database.read() as connection:
                batch = store.following(connection, wanted, after_seq=after)
            if not batch:
                return
            yield table.render(batch)
            after = batch[-1].seq


def _salted(names: dict[str, str]) -> Names:
    """The salt is in the bundle and nowhere on the box: what the leaf commits to cannot be guessed from the leaf."""
    return Names(as_text([secrets.token_bytes(SALT_BYTES)])[0], names)


def _line(record: AuditRecord, names: dict[str, str], *, match: bool, disclosed: dict[str, Disclosed]) -> Line:
    return Line(
        seq=record.seq,
        match=match,
        time=utc_text(record.time_ms),
        event=record.event,
        actor_name=names.get(record.actor_pseudonym) if match else None,
        leaf_hash=record.leaf_hash.hex(),
        body=record.body.decode(),
        disclosed=disclosed,
    )


def _check(wanted: AuditFilter, before_seq: int | None = None) -> None:
    """Raise `InvalidInput` for a filter nothing can match: it becomes facts of a leaf, where only ids and numbers may stand."""
    numbers = (wanted.since_ms, wanted.until_ms, wanted.through_seq, before_seq)
    ids = (wanted.pseudonym, wanted.resource.kind if wanted.resource else None, wanted.resource.id if wanted.resource else None)
    numeric = all(number is None or 0 <= number <= _MAX_NUMBER for number in numbers)
    if not numeric or not all(given is None or _ID.fullmatch(given) for given in ids):
        raise _unmatched()


def _require_known(connection: Connection, wanted: AuditFilter) -> None:
    """A name that is one word reads like an id, and would stand in a leaf for good: what is no id that the box makes must be one
    that stands in the log already.
    """
    about, person = wanted.resource, wanted.pseudonym
    known = about is None or _MADE.fullmatch(about.id) or store.first_about(connection, about)
    if not known or not (person is None or _MADE.fullmatch(person) or store.names_person(connection, person)):
        raise _unmatched()


def _unmatched() -> InvalidInput:
    return InvalidInput("The filter asks for something that no record can have.", code="audit.filter")

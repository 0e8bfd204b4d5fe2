"""Erasing what is sealed in the log of somebody whose account was deleted. The entries themselves stay, and still verify."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from appliance.administration.holds import require_known
from appliance.administration.reasons import checked_reason
from appliance.audit import store
from appliance.audit.erasing import Batch, erase, next_batch
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.holds import require_none_placed_by, require_not_held
from appliance.audit.log import AuditLog
from appliance.audit.store import AuditFilter, AuditRecord
from appliance.errors import Conflict
from appliance.identity.models import Principal
from appliance.identity.store import was_deleted
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import AUDIT_LOG
from appliance.storage.database import Database
from appliance.storage.kept_copies import KeptCopy, kept_copies


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, and what was made before and may still hold it: exports of the log and backups, oldest first, and copies that
    upgrades kept on this box, newest first.

    `remains_on_disk` where the write-ahead log could not be emptied since somebody was reading: there, encrypted, the old pages
    stay until it is written over.
    """

    values: int
    first: int
    last: int
    exports: list[AuditRecord]
    backups: list[AuditRecord]
    kept_copies: list[KeptCopy]
    remains_on_disk: bool


class Erasure:
    """The act, for compliance officers."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, copies_dir: Path) -> None:
        """`copies_dir` is where upgrades keep the database as it was."""
        self._copies_dir = copies_dir
        self._database = database
        self._access = access
        self._audit = audit

    def erase(self, principal: Principal, pseudonym: str, reason: str) -> Erased:
        """All that is sealed of this person, in batches, each with its own entry: what a crash leaves, the next call erases.

        Raises `InvalidInput` (`reason.length`, `reason.text`), `NotFound` (`person.not_found`) and `Conflict`:
        `audit.not_deleted`, `person.held`, `audit.holds_placed`, `audit.nothing_sealed`.
        """
        self._access.require(principal, Action.AUDIT_ERASE, AUDIT_LOG)
        words, joined = checked_reason(reason), secrets.token_hex(16)
        done: list[Batch] = []
        while batch := self._erase_batch(principal, pseudonym, words, joined):
            done.append(batch)
        if not done:
            raise Conflict("Nothing is sealed of this person any more.", code="audit.nothing_sealed")
        folded = self._database.fold()
        with self._database.read() as connection:
            began = store.first_about(connection, ResourceRef("person", pseudonym))
            exports = [
                record
                for record in _all(connection, EventName.AUDIT_EXPORTED, began)
                if record.facts["format"] != "checkpoint" and record.facts.get("filter_person", pseudonym) == pseudonym
            ]
            backups = _all(connection, EventName.BACKUP_MADE, began)
        return Erased(
            sum(batch.values for batch in done),
            done[0].first,
            done[-1].last,
            exports,
            backups,
            kept_copies(self._copies_dir),
            not folded,
        )

    def _erase_batch(self, principal: Principal, pseudonym: str, reason: str, joined: str) -> Batch | None:
        with self._database.write() as connection:
            require_known(connection, pseudonym)
            if not was_deleted(connection, pseudonym):
                raise Conflict("The account is still there: an administrator deletes it first.", code="audit.not_deleted")
            require_not_held(connection, pseudonym)
            require_none_placed_by(connection, pseudonym)
            batch = next_batch(connection, pseudonym)
            if batch is None:
                return None
            event = AuditEvent(
                EventName.AUDIT_ERASED,
                principal,
                resources=(ResourceRef("person", pseudonym),),
                correlation_id=joined,
                facts=batch.facts(),
                sealed={"reason": reason},
            )
            self._audit.append(connection, event)
            erase(connection, pseudonym, batch)
            return batch


def _all(connection: Connection, event: EventName, after_seq: int) -> list[AuditRecord]:
    """Those that worked; what was made before there was the account cannot hold anything of it."""
    found: list[AuditRecord] = []
    wanted = AuditFilter(event=event, outcome=Outcome.SUCCESS)
    while batch := store.following(connection, wanted, after_seq=found[-1].seq if found else after_seq):
        found += batch
    return found

"""Holds, as compliance officers place and lift them: whose account and sealed words must stay for now."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.administration.reasons import checked_reason
from appliance.audit import holds
from appliance.audit.erasing import Leftover, leftovers
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.holds import Hold
from appliance.audit.log import AuditLog
from appliance.audit.store import names_of
from appliance.errors import NotFound
from appliance.identity.models import Principal
from appliance.identity.store import has_pseudonym
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import AUDIT_LOG
from appliance.storage.database import Database


@dataclass(frozen=True, slots=True)
class Holdings:
    """Who is held, and the deleted accounts of which something is still sealed; `names` of those that have one, by pseudonym."""

    holds: list[Hold]
    leftovers: list[Leftover]
    names: dict[str, str]


class Holds:
    """Placing, lifting and listing."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def place(self, principal: Principal, pseudonym: str, reason: str) -> Hold:
        """Raises `InvalidInput` (`reason.length`, `reason.text`), `NotFound` (`person.not_found`), `Conflict` (`hold.placed`)."""
        self._access.require(principal, Action.HOLD_PLACE, AUDIT_LOG)
        words = checked_reason(reason)
        with self._database.write() as connection:
            require_known(connection, pseudonym)
            seq = self._append(connection, EventName.HOLD_PLACED, principal, pseudonym, words)
            holds.place(connection, pseudonym, by=principal.pseudonym, seq=seq)
            return next(hold for hold in holds.all_holds(connection) if hold.pseudonym == pseudonym)

    def lift(self, principal: Principal, pseudonym: str, reason: str) -> None:
        """Raises `InvalidInput` (`reason.length`, `reason.text`), `NotFound` (`person.not_found`), `Conflict` (`hold.none`)."""
        self._access.require(principal, Action.HOLD_LIFT, AUDIT_LOG)
        words = checked_reason(reason)
        with self._database.write() as connection:
            require_known(connection, pseudonym)
            holds.lift(connection, pseudonym)
            self._append(connection, EventName.HOLD_LIFTED, principal, pseudonym, words)

    def list(self, principal: Principal) -> Holdings:
        """The look is recorded before it is answered."""
        self._access.require(principal, Action.HOLD_LIST, AUDIT_LOG)
        with self._database.read() as connection:
            held, left = holds.all_holds(connection), leftovers(connection)
            named = {pseudonym for hold in held for pseudonym in (hold.pseudonym, hold.placed_by)}
            names = names_of(connection, named)
        with self._database.write() as connection:
            facts: dict[str, str | int] = {"held": len(held)}
            self._audit.append(connection, AuditEvent(EventName.HOLD_LISTED, principal, facts=facts))
        return Holdings(held, left, names)

    def _append(self, connection: Connection, name: EventName, principal: Principal, pseudonym: str, reason: str) -> int:
        # sealed as the officer's words: what the law was asked for must outlive the erasure of whom it was about
        about = (ResourceRef("person", pseudonym),)
        return self._audit.append(connection, AuditEvent(name, principal, resources=about, sealed={"reason": reason}))


def require_known(connection: Connection, pseudonym: str) -> None:
    """Raise `NotFound` (`person.not_found`) where no account, deleted or not, has this pseudonym."""
    if not has_pseudonym(connection, pseudonym):
        raise NotFound("There is no account with this pseudonym.", code="person.not_found")

"""Whom a token of the provider lets in, and what it makes of their roles and groups: decided and recorded in one transaction."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.administration.people import open_account
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.identity import groups as group_store
from appliance.identity import store
from appliance.identity.api_keys import keys_ended
from appliance.identity.factors import SecondFactors
from appliance.identity.models import SYSTEM, Account, Principal, Role
from appliance.identity.provider import links
from appliance.identity.provider.id_token import Claims
from appliance.identity.provider.mapping import groups_wanted, roles_after
from appliance.identity.provider.policy import Provider
from appliance.identity.provider.refusal import Reason
from appliance.policy.store import opened_to

_BY = "provider"
_COLLECTIONS_NAMED = 60


@dataclass(frozen=True, slots=True)
class Admitted:
    """`groups_missing` counts groups of the table that this box does not have."""

    person: Principal
    groups_missing: int


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """`person` is whose account it would have been, where one is known."""

    reason: Reason
    person: Principal | None = None


class Admission:
    """Changes what the table names and nothing else, by the box itself, as the acts that they are."""

    def __init__(self, audit: AuditLog, factors: SecondFactors, provider: Provider, clock: Callable[[], int]) -> None:
        self._audit = audit
        self._factors = factors
        self._provider = provider
        self._clock = clock

    def decide(self, connection: Connection, claims: Claims) -> Admitted | TurnedAway:
        """What was changed stays changed also where somebody is turned away: who lost a role has lost it."""
        person_id = links.linked_to(connection, self._provider.issuer, claims.subject)
        if person_id is None:
            found = self._called(connection, claims)
            if isinstance(found, TurnedAway):
                return found
            if found is None:
                return self._new(connection, claims)
            person_id = found
        account = store.require_account(connection, person_id)
        if account.disabled_ms is not None:
            return TurnedAway(Reason.DISABLED, account.principal)
        return self._known(connection, account, claims)

    def _called(self, connection: Connection, claims: Claims) -> str | TurnedAway | None:
        """Whose account waits for somebody of this name; None where one is to be made."""
        if claims.unverified_email:
            return TurnedAway(Reason.UNVERIFIED_EMAIL)
        if not _is_plain(claims.name):
            return TurnedAway(Reason.UNKNOWN_PERSON)
        person = store.principal_by_name(connection, claims.name, include_disabled=True)
        if person is None:
            return None if self._provider.make_accounts else TurnedAway(Reason.UNKNOWN_PERSON)
        link = links.load_link(connection, person.id)
        if link is not None and link.subject is None:
            return person.id
        # theirs is another person at the provider, or none: a name alone opens nothing
        return TurnedAway(Reason.NAME_TAKEN if self._provider.make_accounts else Reason.UNKNOWN_PERSON, person)

    def _known(self, connection: Connection, account: Account, claims: Claims) -> Admitted | TurnedAway:
        person = account.principal
        roles = roles_after(self._provider.rules, claims.groups, person.roles)
        reason = _objection(roles)
        if reason is Reason.NO_ROLE:
            store.end_sessions(connection, person.id)
            for event in keys_ended(SYSTEM, person, store.end_keys(connection, person.id), _BY):
                self._audit.append(connection, event)
        if reason is None and roles != person.roles:
            reason = self._set_roles(connection, person, roles)
        if reason is not None:
            return TurnedAway(reason, person)
        missing = self._follow_groups(connection, person, claims)
        if not claims.factor_shown and (account.has_factor or self._factors.required_of(_with(person, roles))):
            return TurnedAway(Reason.NO_SECOND_FACTOR, person)
        self._bind(connection, person, claims)
        return self._admitted(connection, person, missing)

    def _new(self, connection: Connection, claims: Claims) -> Admitted | TurnedAway:
        if store.count_principals(connection) == 0:  # the first one is made with the set-up, and has a password
            return TurnedAway(Reason.UNKNOWN_PERSON)
        roles = roles_after(self._provider.rules, claims.groups, frozenset())
        reason = _objection(roles)
        if reason is not None:
            return TurnedAway(reason)
        if self._factors.required_of(_with(SYSTEM, roles)) and not claims.factor_shown:
            return TurnedAway(Reason.NO_SECOND_FACTOR)
        try:
            person = open_account(connection, self._audit, by=SYSTEM, name=claims.name, password_hash="", roles=roles)
        except InvalidInput:  # no name that anybody can have here
            return TurnedAway(Reason.UNKNOWN_PERSON)
        links.allow(connection, person.id, self._clock())
        self._bind(connection, person, claims)
        return self._admitted(connection, person, self._follow_groups(connection, person, claims))

    def _set_roles(self, connection: Connection, person: Principal, roles: frozenset[Role]) -> Reason | None:
        try:
            store.set_roles(connection, person.id, roles)
        except Conflict:  # it refuses before it changes anything
            return Reason.LAST_ADMINISTRATOR
        facts = {"roles_before": ",".join(sorted(person.roles)), "roles": ",".join(sorted(roles)), "reason": _BY}
        about = (ResourceRef("person", person.pseudonym),)
        self._audit.append(connection, AuditEvent(EventName.PERSON_UPDATED, SYSTEM, resources=about, facts=facts))
        return None

    def _bind(self, connection: Connection, person: Principal, claims: Claims) -> None:
        link = links.load_link(connection, person.id)
        if link is None or link.subject is not None:
            return
        links.bind(connection, person.id, self._provider.issuer, claims.subject, self._clock())
        about = (ResourceRef("person", person.pseudonym),)
        self._audit.append(connection, AuditEvent(EventName.IDENTITY_LINKED, person, resources=about))

    def _follow_groups(self, connection: Connection, person: Principal, claims: Claims) -> int:
        """How many groups of the table are not there."""
        missing, wanted = 0, dict[str, bool]()
        for named, belongs in groups_wanted(self._provider.rules, claims.groups).items():
            try:
                group_id = group_store.group_called(connection, named).id
            except NotFound:
                missing += 1
            else:  # the table may call one group by its id and by its name
                wanted[group_id] = wanted.get(group_id, False) or belongs
        for group_id, belongs in wanted.items():
            members = group_store.require_changeable(connection, group_id).members
            if belongs and person.id not in members:
                group_store.insert_members(connection, group_id, (person.id,))
                self._tell_of_group(connection, EventName.MEMBER_ADDED, group_id, person)
            elif not belongs and person.id in members:
                group_store.delete_members(connection, group_id, (person.id,))
                self._tell_of_group(connection, EventName.MEMBER_REMOVED, group_id, person)
        return missing

    def _tell_of_group(self, connection: Connection, event: EventName, group_id: str, person: Principal) -> None:
        opened = [ResourceRef("collection", item.resource.id) for item in opened_to(connection, f"group:{group_id}")]
        about = (ResourceRef("group", group_id), ResourceRef("person", person.pseudonym))
        facts: dict[str, str | int] = {"people": 1, "collections": len(opened), "reason": _BY}
        for start in range(0, max(len(opened), 1), _COLLECTIONS_NAMED):
            named = (*about, *opened[start : start + _COLLECTIONS_NAMED])
            self._audit.append(connection, AuditEvent(event, SYSTEM, resources=named, facts=facts))

    def _admitted(self, connection: Connection, person: Principal, missing: int) -> Admitted:
        return Admitted(store.require_account(connection, person.id).principal, missing)


def _is_plain(name: str) -> bool:
    """A name here is found by any spelling of it; to the provider two spellings can be two people, and one of them chose theirs.

    Capitals, and an accent as a character of its own, are no other name to either.
    """
    usual = unicodedata.is_normalized("NFKC", name) or unicodedata.is_normalized("NFKD", name)
    return bool(name) and usual and name == " ".join(name.split())


def _objection(roles: frozenset[Role]) -> Reason | None:
    if not roles:
        return Reason.NO_ROLE
    try:
        store.check_roles(roles)
    except InvalidInput:
        return Reason.ROLES_CONFLICT
    return None


def _with(person: Principal, roles: frozenset[Role]) -> Principal:
    return Principal(person.id, person.name, person.pseudonym, roles)

"""Accounts, as administrators make and change them, and as everybody changes their own password."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from appliance.administration.belongings import Belongings, belongings_of, delete_person
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.holds import require_not_held
from appliance.audit.log import AuditLog
from appliance.errors import Conflict
from appliance.identity import store
from appliance.identity.api_keys import keys_ended
from appliance.identity.models import Account, Principal, Role
from appliance.identity.passwords import check_strength, hash_password
from appliance.identity.sessions import Sessions
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.policy.store import insert_collection
from appliance.storage.database import Database

OWN_COLLECTION = "My documents"


class People:
    """Creating, changing, deleting and listing accounts. Sessions end with any change (identity/store.py)."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, sessions: Sessions) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._sessions = sessions

    def create(self, principal: Principal, name: str, password: str, roles: Iterable[Role]) -> Principal:
        """A new account with a collection of its own.

        Raises `InvalidInput` for a weak password, an impossible name, or officer and administrator together; `Conflict` for a
        name that is taken.
        """
        self._access.require(principal, Action.PERSON_CREATE, APPLIANCE)
        chosen = store.check_roles(roles)
        check_strength(password)
        password_hash = hash_password(password)
        with self._database.write() as connection:
            return open_account(connection, self._audit, by=principal, name=name, password_hash=password_hash, roles=chosen)

    def update(
        self,
        principal: Principal,
        person_id: str,
        *,
        roles: Iterable[Role] | None = None,
        password: str | None = None,
        disabled: bool | None = None,
    ) -> Account:
        """Change what is given, all of it or nothing, and end the person's sessions; their API keys, too, but for roles alone.

        Raises `NotFound`, `InvalidInput`, and `Conflict` when the box would be left without an administrator.
        """
        self._access.require(principal, Action.PERSON_UPDATE, APPLIANCE)
        chosen = None if roles is None else store.check_roles(roles)
        password_hash = None
        if password is not None:
            check_strength(password)
            password_hash = hash_password(password)
        facts: dict[str, str | int] = {}
        keys: list[AuditEvent] = []
        with self._database.write() as connection:
            before = store.require_account(connection, person_id)
            if chosen is not None and chosen != before.principal.roles:
                store.set_roles(connection, person_id, chosen)
                facts |= {"roles_before": _names(before.principal.roles), "roles": _names(chosen)}
            if password_hash is not None:
                ended = store.set_password(connection, person_id, password_hash)
                keys += keys_ended(principal, before.principal, ended, "password_set")
                facts["changed"] = "password"
            if disabled is not None and disabled != (before.disabled_ms is not None):
                ended = store.set_disabled(connection, person_id, disabled=disabled)
                keys += keys_ended(principal, before.principal, ended, "disabled")
                facts["disabled"] = "yes" if disabled else "no"
            self._audit.append(
                connection,
                AuditEvent(
                    EventName.PERSON_UPDATED,
                    principal,
                    resources=(ResourceRef("person", before.principal.pseudonym),),
                    facts=facts or {"changed": "nothing"},
                ),
            )
            for event in keys:
                self._audit.append(connection, event)
            return store.require_account(connection, person_id)

    def belongings(self, principal: Principal, person_id: str) -> Belongings:
        """How much would go with this account, and how much would stay. Raises as `delete` does where it cannot be deleted."""
        self._access.require(principal, Action.PERSON_DELETE, APPLIANCE)
        with self._telling_of_holds(principal, person_id), self._database.write() as connection:
            account = _deletable(connection, principal, person_id)
            about = (ResourceRef("person", account.principal.pseudonym),)
            facts: dict[str, str | int] = {"people": 1, "shown": "belongings"}
            self._audit.append(connection, AuditEvent(EventName.PERSON_LISTED, principal, resources=about, facts=facts))
            return belongings_of(connection, person_id)

    def delete(self, principal: Principal, person_id: str, *, conversations: int, documents: int) -> Belongings:
        """Delete a disabled account with all its conversations and its own documents; what there was.

        Both numbers are what the person who deletes was told of. Nobody reaches anything of theirs from then on; it is cleared
        away after it. Raises `NotFound`, and `Conflict`: `person.own_account`, `person.not_disabled`, `person.held`,
        `person.last_officer`, and `person.belongings` where the numbers are others.
        """
        self._access.require(principal, Action.PERSON_DELETE, APPLIANCE)
        with self._telling_of_holds(principal, person_id), self._database.write() as connection:
            account = _deletable(connection, principal, person_id)
            found = belongings_of(connection, person_id)
            if (found.conversations, found.documents) != (conversations, documents):
                raise _differing(account.principal.name, found)
            self._sessions.forget_tries(connection, account.principal.name)
            delete_person(connection, self._audit, principal, account.principal, found)
        return found

    @contextmanager
    def _telling_of_holds(self, principal: Principal, person_id: str) -> Iterator[None]:
        """Officers read in the log who tried to delete an account that they hold."""
        try:
            yield
        except Conflict as refusal:
            if refusal.stable_code == "person.held":
                with self._database.write() as connection:
                    about = (ResourceRef("person", store.pseudonym_of(connection, person_id)),)
                    facts: dict[str, str | int] = {"reason": refusal.stable_code}
                    event = AuditEvent(EventName.PERSON_DELETED, principal, resources=about, outcome=Outcome.FAILURE, facts=facts)
                    self._audit.append(connection, event)
            raise

    def change_password(self, principal: Principal, token: str, current: str, new: str) -> str:
        """Replace the password of the person whose session this is; returns the token of the one session that goes on.

        Raises as `Sessions.change_password` does.
        """
        self._access.require(principal, Action.PASSWORD_CHANGE, APPLIANCE)
        return self._sessions.change_password(token, current, new)

    def list(self, principal: Principal) -> list[Account]:
        """All accounts, the disabled ones too."""
        self._access.require(principal, Action.PERSON_LIST, APPLIANCE)
        with self._database.write() as connection:
            accounts = store.list_principals(connection)
            event = AuditEvent(EventName.PERSON_LISTED, principal, facts={"people": len(accounts)})
            self._audit.append(connection, event)
            return accounts


def open_account(
    connection: Connection,
    audit: AuditLog,
    *,
    by: Principal,
    name: str,
    password_hash: str,
    roles: frozenset[Role],
) -> Principal:
    """The account, its own collection and the record of both, in the caller's transaction."""
    person = store.create_principal(connection, name=name, password_hash=password_hash, roles=roles)
    own = insert_collection(connection, name=OWN_COLLECTION, owner_id=person.id)
    audit.append(
        connection,
        AuditEvent(
            EventName.PERSON_CREATED,
            by,
            resources=(ResourceRef("person", person.pseudonym), ResourceRef("collection", own.resource.id)),
            facts={"roles": _names(roles)},
            sealed={"name": person.name},
            sealed_subject=person.pseudonym,
        ),
    )
    return person


def _deletable(connection: Connection, principal: Principal, person_id: str) -> Account:
    """The account, where it may be deleted. An enabled administrator always remains, since only disabled ones may be.

    So does an enabled officer where an officer goes.
    """
    account = store.require_account(connection, person_id)
    if person_id == principal.id:
        raise Conflict("Nobody deletes their own account; another administrator does.", code="person.own_account")
    if account.disabled_ms is None:
        raise Conflict(
            f"{account.principal.name} can still sign in. Disable the account first, then delete it.", code="person.not_disabled"
        )
    require_not_held(connection, account.principal.pseudonym)
    if Role.OFFICER in account.principal.roles and not _officer_remains(connection):
        raise Conflict(
            "No other officer can sign in. Add or enable another officer first, else nobody keeps the log.",
            code="person.last_officer",
        )
    return account


def _officer_remains(connection: Connection) -> bool:
    accounts = store.list_principals(connection)
    return any(Role.OFFICER in each.principal.roles and each.disabled_ms is None for each in accounts)


def _differing(name: str, found: Belongings) -> Conflict:
    return Conflict(
        f"{name} has {found.own}, which are deleted with the account only where you say so.",
        code="person.belongings",
        conversations=found.conversations,
        documents=found.documents,
    )


def _names(roles: frozenset[Role]) -> str:
    return ",".join(sorted(roles)) or "none"

"""Groups of people: collections are opened to them, and models tried out on them.

Who is put into a group may read what is opened to it: that act is guarded and recorded as opening each of these collections is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, InvalidInput
from appliance.identity import groups as store
from appliance.identity.models import EVERYONE, Account, Group, Principal
from appliance.identity.store import list_principals, require_account
from appliance.inference.store.records import load_versions
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.policy.store import StoredCollection, load_collections, opened_to, withdraw_grants
from appliance.storage.database import Database

# each leaf stays below the size limit of a leaf
_REFERENCES_PER_LEAF = 60
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GroupDetail:
    """A group with what hangs on it. `members` are accounts by name; that everybody belongs to `everyone` is not listed."""

    id: str
    name: str
    built_in: bool
    member_count: int
    members: tuple[Account, ...]
    collections: tuple[str, ...]
    """Names of the shared collections that are opened to it."""
    models: tuple[str, ...]
    """Versions that are tried out on it."""


class Groups:
    """Making, naming, filling, listing and deleting groups. Membership counts from the next request on."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def list(self, principal: Principal) -> list[GroupDetail]:
        """Every group, the built-in one first, then by name."""
        self._access.require(principal, Action.GROUP_LIST, APPLIANCE)
        with self._database.write() as connection:
            groups = store.load_groups(connection)
            accounts = list_principals(connection)
            collections = load_collections(connection)
            trials = _trials(connection)
            self._audit.append(connection, AuditEvent(EventName.GROUP_LISTED, principal, facts={"groups": len(groups)}))
        return [_detail(group, accounts, collections, trials) for group in groups]

    def create(self, principal: Principal, name: str, people: Iterable[str] = ()) -> Group:
        """A new group with these people (their ids), to which nothing is opened yet. All of it or nothing is made.

        Raises `InvalidInput` (`group.name`), `Conflict` (`group.name_taken`), `NotFound` for a person who is not there.
        """
        self._access.require(principal, Action.GROUP_CREATE, APPLIANCE)
        chosen = frozenset(people)
        if chosen:
            self._access.require(principal, Action.MEMBER_ADD, APPLIANCE)
        with self._database.write() as connection:
            group = store.insert_group(connection, name)
            self._append(connection, principal, EventName.GROUP_CREATED, group, sealed={"name": group.name})
            if chosen:
                self._put_in(connection, principal, group, chosen)
        return Group(group.id, group.name, chosen)

    def rename(self, principal: Principal, group_id: str, name: str) -> None:
        """Raises as `create` does, `NotFound` (`group.not_found`), and `Conflict` (`group.built_in`) for that of everybody."""
        self._access.require(principal, Action.GROUP_RENAME, APPLIANCE)
        with self._database.write() as connection:
            group = store.require_changeable(connection, group_id)
            sealed = {"name_before": group.name, "name": store.rename_group(connection, group_id, name)}
            self._append(connection, principal, EventName.GROUP_RENAMED, group, sealed=sealed)

    def delete(self, principal: Principal, group_id: str) -> None:
        """Delete the group, its memberships and what is opened to it.

        Raises `Conflict` (`group.canary`) while a model is tried out on it: a version must not be on trial with nobody, nor
        become everybody's by the way. Else as `rename` does.
        """
        self._access.require(principal, Action.GROUP_DELETE, APPLIANCE)
        with self._database.write() as connection:
            group = store.require_changeable(connection, group_id)
            if models := _trials(connection).get(group_id):
                raise Conflict(
                    f"{' and '.join(models)} {'is' if len(models) == 1 else 'are'} tried out on {group.name}. "
                    "Retire, activate, or try out on others first.",
                    code="group.canary",
                    models=",".join(models),
                )
            opened = opened_to(connection, f"group:{group_id}")
            withdraw_grants(connection, f"group:{group_id}")
            store.delete_group(connection, group_id)
            facts = {"members": len(group.members), "collections": len(opened)}
            sealed = {"name": group.name}
            self._append(connection, principal, EventName.GROUP_DELETED, group, _references(opened), facts=facts, sealed=sealed)

    def add(self, principal: Principal, group_id: str, people: Iterable[str]) -> None:
        """Put people in, all of them or none; who belongs already stays.

        To do so is to open what the group opens: it takes the right to open each of these collections. Raises `Denied` without
        it, `InvalidInput` (`group.nobody`), `NotFound`, `Conflict` (`group.built_in`, `group.changed`).
        """
        self._access.require(principal, Action.MEMBER_ADD, APPLIANCE)
        chosen = _some(people)
        with self._database.read() as connection:
            seen = opened_to(connection, f"group:{group_id}")
        for collection in seen:
            self._access.require(principal, Action.COLLECTION_UPDATE, collection.resource)
        with self._database.write() as connection:
            group = store.require_changeable(connection, group_id)
            opened = opened_to(connection, f"group:{group_id}")
            if not {item.resource.id for item in opened} <= {item.resource.id for item in seen}:
                raise Conflict("Another collection was opened to this group just now; look again.", code="group.changed")
            self._put_in(connection, principal, group, chosen)

    def remove(self, principal: Principal, group_id: str, people: Iterable[str]) -> None:
        """Take people out, all of them or none; who does not belong to it is left alone. Raises as `add` does."""
        self._access.require(principal, Action.MEMBER_REMOVE, APPLIANCE)
        chosen = _some(people)
        with self._database.write() as connection:
            group = store.require_changeable(connection, group_id)
            leaving = [person for person in _people(connection, chosen) if person.id in group.members]
            store.delete_members(connection, group_id, (person.id for person in leaving))
            self._tell(connection, principal, EventName.MEMBER_REMOVED, group, leaving)

    def _put_in(self, connection: Connection, principal: Principal, group: Group, chosen: frozenset[str]) -> None:
        joining = [person for person in _people(connection, chosen) if person.id not in group.members]
        store.insert_members(connection, group.id, (person.id for person in joining))
        self._tell(connection, principal, EventName.MEMBER_ADDED, group, joining)

    def _tell(
        self, connection: Connection, principal: Principal, event: EventName, group: Group, people: Sequence[Principal]
    ) -> None:
        """Record who joined or left, and what that opened or closed."""
        if not people:
            self._append(connection, principal, event, group, facts={"changed": "nothing"})
            return
        opened = opened_to(connection, f"group:{group.id}")
        about = [*(ResourceRef("person", person.pseudonym) for person in people), *_references(opened)]
        facts = {"people": len(people), "collections": len(opened)}
        self._append(connection, principal, event, group, about, facts=facts)

    def _append(
        self,
        connection: Connection,
        principal: Principal,
        event: EventName,
        group: Group,
        about: Sequence[ResourceRef] = (),
        *,
        facts: Mapping[str, str | int] = _NONE,
        sealed: Mapping[str, str] = _NONE,
    ) -> None:
        """One leaf, or as many as it takes to name all that the act was about."""
        for start in range(0, max(len(about), 1), _REFERENCES_PER_LEAF):
            resources = (ResourceRef("group", group.id), *about[start : start + _REFERENCES_PER_LEAF])
            self._audit.append(
                connection, AuditEvent(event, principal, resources=resources, facts=facts, sealed=sealed if start == 0 else {})
            )


def _some(people: Iterable[str]) -> frozenset[str]:
    chosen = frozenset(people)
    if not chosen:
        raise InvalidInput("Name at least one person.", code="group.nobody")
    return chosen


def _people(connection: Connection, chosen: frozenset[str]) -> list[Principal]:
    """In a fixed order. Raises `NotFound` (`person.not_found`) where one of them is not there, or not any more."""
    return [require_account(connection, person_id).principal for person_id in sorted(chosen)]


def _references(opened: Iterable[StoredCollection]) -> list[ResourceRef]:
    return [ResourceRef("collection", item.resource.id) for item in opened]


def _trials(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Ids of the versions that are tried out on each group, by its id."""
    trials: dict[str, tuple[str, ...]] = {}
    for version in load_versions(connection):
        if version.canary_group is not None:
            trials[version.canary_group] = (*trials.get(version.canary_group, ()), version.id)
    return trials


def _detail(
    group: Group,
    accounts: Sequence[Account],
    collections: Sequence[StoredCollection],
    trials: Mapping[str, tuple[str, ...]],
) -> GroupDetail:
    built_in, grantee = group.id == EVERYONE, f"group:{group.id}"
    opened = [item for item in collections if grantee in item.resource.readers | item.resource.contributors]
    return GroupDetail(
        group.id,
        group.name,
        built_in,
        len(group.members),
        () if built_in else tuple(account for account in accounts if account.principal.id in group.members),
        tuple(sorted((item.name for item in opened if item.resource.owner_id is None), key=str.casefold)),
        trials.get(group.id, ()),
    )

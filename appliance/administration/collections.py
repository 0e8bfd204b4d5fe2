"""Collections and who they are opened to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from appliance.administration.golden import store as golden_store
from appliance.administration.golden.records import golden_event
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, InvalidInput
from appliance.identity import store as identity_store
from appliance.identity.groups import group_names
from appliance.identity.models import EVERYONE, Principal
from appliance.policy import store
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE, Grantee
from appliance.retention.rules import NONE, Rule
from appliance.retention.store import drop_rule, rules
from appliance.retrieval import slices
from appliance.storage.database import Database
from appliance.storage.tables import documents

# a change of many grants is told in several leaves, each below the size limit of a leaf
_CHANGES_PER_LEAF = 40


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """A collection as somebody sees it who may read it."""

    id: str
    number: int
    name: str
    owner_id: str | None
    may_contribute: bool
    document_count: int
    classification: str
    stay: Rule = NONE
    """How long its documents do."""


@dataclass(frozen=True, slots=True)
class CollectionDetail:
    """A collection as administrators see it: who it is opened to, and nothing that lies in it."""

    id: str
    number: int
    name: str
    owner_id: str | None
    readers: frozenset[Grantee]
    contributors: frozenset[Grantee]
    document_count: int
    classification: str
    stay: Rule = NONE
    """How long its documents do."""


class Collections:
    """Making collections, opening them, saying how sensitive they are, listing and deleting them."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, classifications: Sequence[str]) -> None:
        """`classifications` are those of the routing policy, lowest first."""
        self.classifications = tuple(classifications)
        self._database = database
        self._access = access
        self._audit = audit

    def create(
        self,
        principal: Principal,
        name: str,
        *,
        readers: Iterable[Grantee] = (),
        contributors: Iterable[Grantee] = (),
        classification: str | None = None,
    ) -> str:
        """A new shared collection, open to these alone; its id. All of it or nothing is made.

        Raises `Conflict` (`collection.name_taken`), and `InvalidInput` as `update` does.
        """
        self._access.require(principal, Action.COLLECTION_CREATE, APPLIANCE)
        cleaned = identity_store.clean_name(name, code="collection.name")
        self._require_known(classification)
        wanted = {"read": frozenset(readers), "contribute": frozenset(contributors)}
        with self._database.write() as connection:
            _require_free(connection, cleaned)
            stored = store.insert_collection(connection, name=cleaned)
            about = (ResourceRef("collection", stored.resource.id),)
            self._audit.append(connection, AuditEvent(EventName.COLLECTION_CREATED, principal, resources=about))
            if any(wanted.values()) or classification not in {None, stored.classification}:
                self._change(connection, principal, stored, wanted, name=None, classification=classification)
        return stored.resource.id

    def update(
        self,
        principal: Principal,
        collection_id: str,
        *,
        name: str | None = None,
        readers: Iterable[Grantee] | None = None,
        contributors: Iterable[Grantee] | None = None,
        classification: str | None = None,
    ) -> None:
        """Rename, classify, and open to exactly the given `principal:<id>` and `group:<id>`; what is None stays.

        Raises `InvalidInput` for a grantee or a classification that does not exist, `Conflict` for a name that another one has.
        """
        self._access.require_collection(principal, Action.COLLECTION_UPDATE, collection_id)
        cleaned = None if name is None else identity_store.clean_name(name, code="collection.name")
        self._require_known(classification)
        wanted = {
            permission: frozenset(grantees)
            for permission, grantees in (("read", readers), ("contribute", contributors))
            if grantees is not None
        }
        with self._database.write() as connection:
            stored = store.require_collection(connection, collection_id)
            if cleaned is not None:
                _require_free(connection, cleaned, but=collection_id)
            self._change(connection, principal, stored, wanted, name=cleaned, classification=classification)

    def delete(self, principal: Principal, collection_id: str, *, name: str, documents: int = 0) -> None:
        """Delete a shared collection, its grants and its golden sets; its documents are out of reach at once and go one by one.

        `name` is the collection's, as the person typed it; `documents` is how many they were told will go with it. Raises
        `InvalidInput` (`collection.name_mismatch`), and `Conflict` (`collection.holds_documents`) where there are more.
        """
        self._access.require_collection(principal, Action.COLLECTION_DELETE, collection_id)
        with self._database.write() as connection:
            stored = store.require_collection(connection, collection_id)
            if identity_store.comparable_name(name) != identity_store.comparable_name(stored.name):
                raise InvalidInput(f"Type {stored.name} to delete that collection.", code="collection.name_mismatch")
            held = _document_counts(connection).get(collection_id, 0)
            if held > documents:
                what = "1 document, which is" if held == 1 else f"{held} documents, which are"
                raise Conflict(
                    f"{stored.name} holds {what} deleted with it only where you say so.",
                    code="collection.holds_documents",
                    documents=held,
                )
            sets = take_out_of_reach(connection, self._audit, principal, stored)
            about = (ResourceRef("collection", collection_id),)
            facts: dict[str, str | int] = {"documents": held, "golden_sets": sets}
            sealed = {"name": stored.name}
            self._audit.append(
                connection, AuditEvent(EventName.COLLECTION_DELETED, principal, resources=about, facts=facts, sealed=sealed)
            )

    def _change(
        self,
        connection: Connection,
        principal: Principal,
        stored: store.StoredCollection,
        wanted: Mapping[str, frozenset[Grantee]],
        *,
        name: str | None,
        classification: str | None,
    ) -> None:
        """Store what became different, and say so in the log."""
        collection_id = stored.resource.id
        pseudonyms = _known_grantees(connection, frozenset().union(*wanted.values()))
        if name is not None and name != stored.name:
            store.rename_collection(connection, collection_id, name)
        before = {"read": stored.resource.readers, "contribute": stored.resource.contributors}
        changes = []
        for permission, grantees in wanted.items():
            store.replace_grants(connection, collection_id, permission, grantees)
            changes += list(_changes(permission, before[permission], grantees))
        own: dict[str, str | int] = {"renamed": "yes"} if name not in (None, stored.name) else {}
        if classification not in {None, stored.classification}:
            assert classification is not None
            store.classify_collection(connection, collection_id, classification)
            own |= self._reclassified(stored.classification, classification)
        for concerned, facts in _leaves(changes, pseudonyms, own, principal):
            about = (ResourceRef("collection", collection_id), *concerned)
            self._audit.append(connection, AuditEvent(EventName.COLLECTION_UPDATED, principal, resources=about, facts=facts))

    def _require_known(self, classification: str | None) -> None:
        if classification is not None and classification not in self.classifications:
            known = ", ".join(self.classifications)
            raise InvalidInput(f"A collection can be classified as one of {known}.", code="collection.classification")

    def _reclassified(self, before: str, after: str) -> dict[str, str | int]:
        """What the log says of it. A value that the policy no longer knows was above all others."""
        places = {name: place for place, name in enumerate(self.classifications)}
        raised = places[after] > places.get(before, len(places))
        return {"classified": "raised" if raised else "lowered", "classification_before": before, "classification": after}

    def list_all(self, principal: Principal) -> list[CollectionDetail]:
        """Every collection with its grants, for administrators."""
        self._access.require(principal, Action.COLLECTION_LIST, APPLIANCE)
        with self._database.write() as connection:
            counts, stay = _document_counts(connection), rules(connection)
            stored = store.load_collections(connection)
            self._audit.append(connection, AuditEvent(EventName.COLLECTION_LISTED, principal, facts={"collections": len(stored)}))
        return [
            CollectionDetail(
                item.resource.id,
                item.number,
                item.name,
                item.resource.owner_id,
                item.resource.readers,
                item.resource.contributors,
                counts.get(item.resource.id, 0),
                item.classification,
                stay.get(item.resource.id, NONE),
            )
            for item in stored
        ]

    def readable(self, principal: Principal) -> list[CollectionSummary]:
        """The collections whose documents `principal` may see, their own first, then by name. Nothing is recorded."""
        visible = self._access.scope(principal, Action.DOCUMENT_LIST)
        if not visible:
            return []
        writable = self._access.scope(principal, Action.DOCUMENT_UPLOAD)
        with self._database.read() as connection:
            counts, stay = _document_counts(connection), rules(connection)
            stored = [item for item in store.load_collections(connection) if item.resource.id in visible.collection_ids]
        summaries = [
            CollectionSummary(
                item.resource.id,
                item.number,
                item.name,
                item.resource.owner_id,
                item.resource.id in writable.collection_ids,
                counts.get(item.resource.id, 0),
                item.classification,
                stay.get(item.resource.id, NONE),
            )
            for item in stored
        ]
        return sorted(summaries, key=lambda item: (item.owner_id is None, item.name.casefold(), item.number))


def take_out_of_reach(connection: Connection, audit: AuditLog, principal: Principal, stored: store.StoredCollection) -> int:
    """The collection is gone for every decision, and its golden sets with it; how many those were. It is cleared away later."""
    sets = golden_store.load_sets(connection, {stored.resource.id})
    for found in sets:
        golden_store.delete_set(connection, found.id)
        audit.append(connection, golden_event(EventName.GOLDEN_DELETED, principal, found))
    store.delete_collection(connection, stored.resource.id, principal.id)
    drop_rule(connection, stored.resource.id)
    slices.withdraw_collection(connection, stored.number)
    return len(sets)


def _leaves(
    changes: list[tuple[str, str, Grantee]], pseudonyms: dict[str, str], own: dict[str, str | int], principal: Principal
) -> Iterator[tuple[tuple[ResourceRef, ...], dict[str, str | int]]]:
    """Who is concerned and facts of each leaf that tells of the changes, `own` in each; one leaf where there are none.

    A group stands there by its id, so that its members can be followed; and who opens something to a group of their own is named.
    """
    for start in range(0, max(len(changes), 1), _CHANGES_PER_LEAF):
        part = changes[start : start + _CHANGES_PER_LEAF]
        facts = dict(own)
        for verb in ("granted", "revoked"):
            told = [f"{permission}:{pseudonyms.get(who, who)}" for kind, permission, who in part if kind == verb]
            if told:
                facts[verb] = " ".join(told)
        concerned = [ResourceRef("person", pseudonyms[who]) for _, _, who in part if who in pseudonyms]
        groups = [(kind, who.removeprefix("group:")) for kind, _, who in part if who not in pseudonyms]
        concerned += [ResourceRef("group", group_id) for _, group_id in groups if group_id != EVERYONE]
        if any(kind == "granted" and group_id in principal.groups - {EVERYONE} for kind, group_id in groups):
            concerned.append(ResourceRef("person", principal.pseudonym))
        yield tuple(dict.fromkeys(concerned)), facts or {"changed": "nothing"}


def _changes(permission: str, before: frozenset[Grantee], after: frozenset[Grantee]) -> Iterator[tuple[str, str, Grantee]]:
    yield from (("granted", permission, who) for who in sorted(after - before))
    yield from (("revoked", permission, who) for who in sorted(before - after))


def _require_free(connection: Connection, name: str, *, but: str | None = None) -> None:
    """Raise `Conflict` where a shared collection other than `but` has that name, in whatever case."""
    wanted = identity_store.comparable_name(name)
    for item in store.load_collections(connection):
        shared = item.resource.owner_id is None and item.resource.id != but
        if shared and identity_store.comparable_name(item.name) == wanted:
            raise Conflict(f"There is a collection named {item.name} already.", code="collection.name_taken")


def _known_grantees(connection: Connection, wanted: frozenset[Grantee]) -> dict[str, str]:
    """Pseudonyms of all people by grantee. Raises `InvalidInput` where one of `wanted` is nobody."""
    pseudonyms = {f"principal:{person_id}": known for person_id, known in identity_store.pseudonyms(connection).items()}
    groups = {f"group:{group_id}" for group_id in group_names(connection)}
    if not wanted <= groups | set(pseudonyms):
        raise InvalidInput("A collection can be opened to people and groups of this box only.", code="collection.grantee")
    return pseudonyms


def _document_counts(connection: Connection) -> dict[str, int]:
    query = select(documents.c.collection_id, func.count()).group_by(documents.c.collection_id)
    return dict(connection.execute(query).tuples().all())

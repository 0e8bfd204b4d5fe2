"""The SQL of collections and of who they are opened to."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from appliance.errors import NotFound
from appliance.policy.resources import Grantee, Resource, ResourceKind
from appliance.storage.clock import now_ms
from appliance.storage.tables import collections, grants


class StoredCollection(NamedTuple):
    """A collection as a resource, with its number in the search index, its name and how sensitive it is."""

    resource: Resource
    number: int
    name: str
    classification: str


def insert_collection(connection: Connection, *, name: str, owner_id: str | None = None) -> StoredCollection:
    """A new collection; `owner_id` makes it a person's own. Nobody else may read it until it is granted."""
    collection_id = secrets.token_hex(16)
    made = connection.execute(
        insert(collections)
        .values(id=collection_id, name=name, owner_id=owner_id, created_ms=now_ms())
        .returning(collections.c.number, collections.c.classification)
    ).one()
    resource = Resource(ResourceKind.COLLECTION, collection_id, owner_id=owner_id)
    return StoredCollection(resource, made.number, name, made.classification)


def load_collection(connection: Connection, collection_id: str) -> StoredCollection | None:
    """One collection with its grants; None where there is none, or none any more."""
    found = _load(
        connection,
        select(collections).where(collections.c.id == collection_id, collections.c.deleted_ms.is_(None)),
        select(grants).where(grants.c.collection_id == collection_id),
    )
    return found[0] if found else None


def require_collection(connection: Connection, collection_id: str) -> StoredCollection:
    """For acts that were decided before: raises `NotFound` where it was deleted between two looks."""
    stored = load_collection(connection, collection_id)
    if stored is None:
        raise NotFound("There is no such thing here.")
    return stored


def load_collections(connection: Connection) -> list[StoredCollection]:
    """All collections with their grants, by number."""
    return _load(
        connection, select(collections).where(collections.c.deleted_ms.is_(None)).order_by(collections.c.number), select(grants)
    )


def rename_collection(connection: Connection, collection_id: str, name: str) -> None:
    connection.execute(update(collections).where(collections.c.id == collection_id).values(name=name))


def classify_collection(connection: Connection, collection_id: str, classification: str) -> None:
    connection.execute(update(collections).where(collections.c.id == collection_id).values(classification=classification))


def delete_collection(connection: Connection, collection_id: str, person_id: str) -> None:
    """Gone for every decision from now on; what it held is left to whoever clears it away.

    Its classification stays: an answer that is being written may rest on it.
    """
    connection.execute(delete(grants).where(grants.c.collection_id == collection_id))
    gone = update(collections).where(collections.c.id == collection_id)
    connection.execute(gone.values(name="", deleted_ms=now_ms(), deleted_by=person_id))


class DeletedCollection(NamedTuple):
    """What is left of it: its number, the id of the person who deleted it, and whose own it was."""

    number: int
    deleted_by: str
    owner_id: str | None


def load_deleted(connection: Connection, collection_id: str) -> DeletedCollection:
    wanted = select(collections.c.number, collections.c.deleted_by, collections.c.owner_id)
    return DeletedCollection(*connection.execute(wanted.where(collections.c.id == collection_id)).one())


def own_collections(connection: Connection, owner_id: str) -> list[StoredCollection]:
    """Those that belong to this person, with their grants, by number."""
    own = select(collections).where(collections.c.owner_id == owner_id, collections.c.deleted_ms.is_(None))
    granted = select(grants).where(grants.c.collection_id.in_(select(collections.c.id).where(collections.c.owner_id == owner_id)))
    return _load(connection, own.order_by(collections.c.number), granted)


def classifications_of(connection: Connection, collection_ids: Iterable[str]) -> set[str]:
    """How sensitive these collections are now, each value once."""
    wanted = select(collections.c.classification).where(collections.c.id.in_(set(collection_ids)))
    return set(connection.execute(wanted).scalars())


def known_classifications(connection: Connection) -> set[str]:
    """Of every collection there is or was."""
    return set(connection.execute(select(collections.c.classification).distinct()).scalars())


def replace_grants(connection: Connection, collection_id: str, permission: str, grantees: Iterable[Grantee]) -> None:
    """Open the collection to exactly these, for `permission` "read" or "contribute"."""
    connection.execute(delete(grants).where(grants.c.collection_id == collection_id, grants.c.permission == permission))
    for grantee in sorted(set(grantees)):
        kind, _, identifier = grantee.partition(":")
        connection.execute(
            insert(grants).values(collection_id=collection_id, grantee_kind=kind, grantee_id=identifier, permission=permission)
        )


def opened_to(connection: Connection, grantee: Grantee) -> list[StoredCollection]:
    """The shared collections in which anything is granted to `grantee`, with all their grants, by number."""
    kind, _, identifier = grantee.partition(":")
    granted = select(grants.c.collection_id).where(grants.c.grantee_kind == kind, grants.c.grantee_id == identifier)
    shared = select(collections).where(
        collections.c.id.in_(granted), collections.c.owner_id.is_(None), collections.c.deleted_ms.is_(None)
    )
    return _load(connection, shared.order_by(collections.c.number), select(grants).where(grants.c.collection_id.in_(granted)))


def withdraw_grants(connection: Connection, grantee: Grantee) -> None:
    """Close every collection to `grantee`."""
    kind, _, identifier = grantee.partition(":")
    connection.execute(delete(grants).where(grants.c.grantee_kind == kind, grants.c.grantee_id == identifier))


def _load(connection: Connection, which: Select[Any], granted: Select[Any]) -> list[StoredCollection]:
    rows = connection.execute(which).all()
    opened: dict[tuple[str, str], set[Grantee]] = {}
    for row in connection.execute(granted):
        opened.setdefault((row.collection_id, row.permission), set()).add(f"{row.grantee_kind}:{row.grantee_id}")
    return [StoredCollection(_resource(row, opened), row.number, row.name, row.classification) for row in rows]


def _resource(row: Row[Any], opened: dict[tuple[str, str], set[Grantee]]) -> Resource:
    return Resource(
        ResourceKind.COLLECTION,
        row.id,
        owner_id=row.owner_id,
        readers=frozenset(opened.get((row.id, "read"), ())),
        contributors=frozenset(opened.get((row.id, "contribute"), ())),
    )

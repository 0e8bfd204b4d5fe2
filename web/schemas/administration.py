"""People, collections and the state of the box, as administrators see them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from appliance.administration.belongings import Belongings
from appliance.administration.collections import CollectionDetail
from appliance.identity.models import Account, Principal, Role
from web.schemas.quality import AlertOut


class NewPerson(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    password: str
    roles: list[Role]


class PersonChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is None stays as it is."""

    roles: list[Role] | None = None
    password: str | None = None
    disabled: bool | None = None


class PersonCreated(msgspec.Struct):
    id: str
    name: str


class PersonOut(msgspec.Struct):
    id: str
    name: str
    roles: list[str]
    disabled: bool
    created_ms: int
    is_you: bool
    second_factor: bool
    keys: int
    provider: str
    """`allowed` to come in through the identity provider, or `linked` to a person of it; else empty."""

    @classmethod
    def of(cls, account: Account, principal: Principal) -> PersonOut:
        person = account.principal
        disabled = account.disabled_ms is not None
        return cls(
            person.id,
            person.name,
            sorted(person.roles),
            disabled,
            account.created_ms,
            person.id == principal.id,
            account.has_factor,
            account.keys,
            account.provider,
        )


class PersonDeletion(msgspec.Struct, forbid_unknown_fields=True):
    """How many conversations and documents of their own the one who deletes was told go with the account."""

    conversations: int
    documents: int


class BelongingsOut(msgspec.Struct):
    """`shared_documents` lie in shared collections, and stay."""

    conversations: int
    documents: int
    shared_documents: int

    @classmethod
    def of(cls, found: Belongings) -> BelongingsOut:
        return cls(found.conversations, found.documents, found.shared_documents)


class NewCollection(msgspec.Struct, forbid_unknown_fields=True):
    """Grantees as in `CollectionChange`; without any it is open to nobody."""

    name: str
    readers: list[str] = []
    contributors: list[str] = []
    classification: str | None = None


class CollectionCreated(msgspec.Struct):
    id: str


class CollectionChange(msgspec.Struct, forbid_unknown_fields=True):
    """Grantees are written `principal:<id>` and `group:<id>`; what is None stays as it is."""

    name: str | None = None
    readers: list[str] | None = None
    contributors: list[str] | None = None
    classification: str | None = None


class CollectionDeletion(msgspec.Struct, forbid_unknown_fields=True):
    """The collection's name, typed by the person, and how many documents they were told go with it."""

    name: str
    documents: int = 0


class CollectionDetailOut(msgspec.Struct):
    """A shared collection with its grants, or somebody's own by name; how many documents lie inside, never which."""

    id: str
    name: str
    personal: bool
    owner: str
    readers: list[str]
    contributors: list[str]
    classification: str
    document_count: int
    days: int | None
    """They go so long after their upload; None: they stay."""

    @classmethod
    def of(cls, detail: CollectionDetail, names: Mapping[str, str]) -> CollectionDetailOut:
        owner = names.get(detail.owner_id, "") if detail.owner_id else ""
        readers, contributors = sorted(detail.readers), sorted(detail.contributors)
        return cls(
            detail.id,
            detail.name,
            detail.owner_id is not None,
            owner,
            readers,
            contributors,
            detail.classification,
            detail.document_count if detail.owner_id is None else 0,
            detail.stay.days,
        )


class ProcessOut(msgspec.Struct):
    """`state` is "running" or "starting"; times in seconds."""

    name: str
    state: str
    pid: int | None
    memory_bytes: int | None
    restarts: int
    uptime_s: float | None


class DiskOut(msgspec.Struct):
    """Bytes."""

    total: int
    free: int
    database: int
    blobs: int
    models: int


class BoxOut(msgspec.Struct):
    """`queues` maps each queue to its length, None where Redis does not answer; `problem` is a sentence then.

    `drifts` are figures of the answers that have moved further than the policy allows.
    """

    time_ms: int
    problem: str | None
    processes: list[ProcessOut]
    queues: dict[str, int | None]
    documents: dict[str, int]
    messages: dict[str, int]
    people: int
    collections: int
    chunks: int
    audit_events: int
    disk: DiskOut
    versions: dict[str, str]
    drifts: list[AlertOut]

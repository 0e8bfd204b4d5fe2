"""What may be acted upon, as the policies see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class ResourceKind(StrEnum):
    """Kinds of things a policy can name. Documents are decided by the collection they lie in, messages by their conversation."""

    APPLIANCE = "appliance"
    AUDIT_LOG = "audit_log"
    COLLECTION = "collection"
    CONVERSATION = "conversation"


Grantee: TypeAlias = str
"""Somebody a collection is opened to: `principal:<id>` or `group:<id>`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing with what decides about it; a bare id never reaches the policies."""

    kind: ResourceKind
    id: str
    owner_id: str | None = None
    readers: frozenset[Grantee] = field(default_factory=frozenset)
    contributors: frozenset[Grantee] = field(default_factory=frozenset)


APPLIANCE = Resource(ResourceKind.APPLIANCE, "appliance")
"""The box as a whole: what has no object of its own."""

AUDIT_LOG = Resource(ResourceKind.AUDIT_LOG, "audit")


def conversation(conversation_id: str, owner_id: str) -> Resource:
    """A conversation as a resource; it belongs to exactly one person."""
    return Resource(ResourceKind.CONVERSATION, conversation_id, owner_id=owner_id)

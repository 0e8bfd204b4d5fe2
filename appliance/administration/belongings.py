"""What hangs on an account: how much of it goes when that is deleted, and what makes it go."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from appliance.administration.collections import take_out_of_reach
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.identity import store as identity_store
from appliance.identity.api_keys import keys_ended
from appliance.identity.models import EVERYONE, Principal
from appliance.language.counts import counted
from appliance.policy import store as policy_store
from appliance.storage.tables import collections, conversations, documents, feedback, messages

_UNFINISHED = ("PENDING", "ANSWERING")  # as chat calls them, which stands beside this package and is not imported here


@dataclass(frozen=True, slots=True)
class Belongings:
    """How many conversations and documents of their own a person has, and how many they put into shared collections.

    The first two go with the account. The last belong to the organisation and stay.
    """

    conversations: int
    documents: int
    shared_documents: int

    @property
    def own(self) -> str:
        """As sentences say it."""
        return f"{counted(self.conversations, 'conversation')} and {counted(self.documents, 'document')} of their own"


def belongings_of(connection: Connection, person_id: str) -> Belongings:
    """As they are in this transaction."""
    talks = select(func.count()).select_from(conversations).where(conversations.c.principal_id == person_id)
    held = select(func.count()).select_from(documents).join(collections, collections.c.id == documents.c.collection_id)
    held = held.where(collections.c.deleted_ms.is_(None))
    own = held.where(collections.c.owner_id == person_id)
    shared = held.where(collections.c.owner_id.is_(None), documents.c.uploaded_by == person_id)
    counts = [connection.execute(query).scalar_one() for query in (talks, own, shared)]
    return Belongings(*counts)


def delete_person(connection: Connection, audit: AuditLog, by: Principal, person: Principal, found: Belongings) -> None:
    """After this transaction nobody reaches anything of theirs.

    What may be much is removed afterwards: documents by `documents/clearing.py`, conversations by `chat/clearing.py`.
    """
    own = policy_store.own_collections(connection, person.id)
    golden_sets = sum(take_out_of_reach(connection, audit, by, stored) for stored in own)
    opened = policy_store.opened_to(connection, f"principal:{person.id}")
    policy_store.withdraw_grants(connection, f"principal:{person.id}")
    theirs = select(conversations.c.id).where(conversations.c.principal_id == person.id)
    # an answer without a row ends at once and is stored nowhere; a question without one is taken up by nobody
    connection.execute(delete(messages).where(messages.c.status.in_(_UNFINISHED), messages.c.conversation_id.in_(theirs)))
    said = select(messages.c.id).where(messages.c.conversation_id.in_(theirs))
    connection.execute(delete(feedback).where(feedback.c.message_id.in_(said)))  # administrators read it
    ended = identity_store.delete_account(connection, person.id, by.id)
    about = [ResourceRef("person", person.pseudonym), *(ResourceRef("collection", stored.resource.id) for stored in own)]
    facts: dict[str, str | int] = {
        "conversations": found.conversations,
        "documents": found.documents,
        "shared_documents": found.shared_documents,
        "groups": len(person.groups - {EVERYONE}),
        "collections_closed": len(opened),
        "golden_sets": golden_sets,
    }
    audit.append(connection, AuditEvent(EventName.PERSON_DELETED, by, resources=tuple(about), facts=facts))
    for event in keys_ended(by, person, ended, "account_deleted"):
        audit.append(connection, event)

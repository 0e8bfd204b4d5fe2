"""How sensitive an answer in the making is: the highest classification of all that goes into its prompt."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from appliance.inference.selection.policy import RoutingPolicy
from appliance.inference.selection.records import read_record
from appliance.policy.store import classifications_of
from appliance.retrieval.models import Hit
from appliance.storage.tables import documents, message_passages, messages


def answer_classification(connection: Connection, policy: RoutingPolicy, conversation_id: str, passages: Iterable[Hit]) -> str:
    """The highest among the passages and among what earlier answers of this conversation, which the prompt repeats, drew on.

    An earlier answer counts as what it was answered as and as what its collections are now, whichever is higher: a document
    may have been deleted since, a collection raised.
    """
    found = classifications_of(connection, {hit.collection_id for hit in passages})
    earlier = (
        select(documents.c.collection_id)
        .distinct()
        .join(message_passages, message_passages.c.document_id == documents.c.id)
        .join(messages, messages.c.id == message_passages.c.message_id)
    )
    drawn_from = connection.execute(earlier.where(messages.c.conversation_id == conversation_id)).scalars()
    found |= classifications_of(connection, drawn_from)
    kept = select(messages.c.selection).where(messages.c.conversation_id == conversation_id, messages.c.selection != "")
    records = [read_record(text) for text in connection.execute(kept).scalars()]
    return policy.highest(found | {record.classification for record in records if record is not None})


def answered_as(connection: Connection) -> set[str]:
    """Every classification that an answer of this box was given as; reads all answers."""
    said = func.json_extract(messages.c.selection, "$.classification")
    return {str(name) for name in connection.execute(select(said).where(messages.c.selection != "").distinct()).scalars()}

"""What is old enough to go, as conditions of queries; asked inside the transaction that removes or counts it."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, ScalarSelect, and_, false, func, select

from appliance.retention.rules import Rule
from appliance.storage.tables import audit_events, collections, conversations, documents, holds, principals


def aged(connection: Connection, touched: Column[int], rule: Rule, moment_ms: int) -> ColumnElement[bool]:
    """Whose time is long enough ago. What is dated before the log of this box begins stays: that clock stood wrong."""
    cutoff = rule.cutoff_ms(moment_ms)
    begun = connection.execute(select(audit_events.c.time_ms).where(audit_events.c.seq == 1)).scalar()
    return false() if cutoff is None or begun is None else touched.between(begun, cutoff)


def held_people() -> ScalarSelect[str]:
    """Ids of those whom officers hold."""
    joined = select(principals.c.id).join(holds, holds.c.pseudonym == principals.c.pseudonym)
    return joined.scalar_subquery()


def conversations_of_age(connection: Connection, rule: Rule, moment_ms: int) -> int:
    """How many there are, held ones among them: a number must not tell who is held."""
    there = select(func.count()).select_from(conversations).join(principals, principals.c.id == conversations.c.principal_id)
    old = and_(principals.c.deleted_ms.is_(None), aged(connection, conversations.c.updated_ms, rule, moment_ms))
    return connection.execute(there.where(old)).scalar_one()


def documents_of_age(connection: Connection, collection_id: str, rule: Rule, moment_ms: int) -> int:
    """As `conversations_of_age`, of one collection."""
    there = select(func.count()).select_from(documents).join(collections, collections.c.id == documents.c.collection_id)
    old = and_(documents.c.collection_id == collection_id, aged(connection, documents.c.uploaded_ms, rule, moment_ms))
    return connection.execute(there.where(collections.c.deleted_ms.is_(None), old)).scalar_one()

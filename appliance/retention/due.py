"""What is old enough to go, as conditions of queries; asked inside the transaction that removes or counts it."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, and_, false, func, select

from appliance.audit.store import begun_ms
from appliance.retention.rules import Rule
from appliance.storage.tables import collections, conversations, documents, principals


def aged(connection: Connection, touched: Column[int], rule: Rule, moment_ms: int) -> ColumnElement[bool]:
    """Whose time is long enough ago. What is dated before the log of this box begins stays: that clock stood wrong."""
    cutoff = rule.cutoff_ms(moment_ms)
    begun = begun_ms(connection)
    return false() if cutoff is None or begun is None else touched.between(begun, cutoff)


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

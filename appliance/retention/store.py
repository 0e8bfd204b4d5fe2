"""The numbers as rows: one for the conversations of the box, one for the documents of each collection that has one."""

from __future__ import annotations

from sqlalchemy import Connection, Row, delete, insert, select

from appliance.retention.rules import NONE, Rule
from appliance.storage.tables import retention

CONVERSATIONS = "conversations"
"""The subject of the number that is the box's; all others are ids of collections, which are hexadecimal."""


def rule_of(connection: Connection, subject: str) -> Rule:
    """`NONE` where nobody set a number."""
    row = connection.execute(select(retention).where(retention.c.subject == subject)).one_or_none()
    return NONE if row is None else _rule(row)


def rules(connection: Connection) -> dict[str, Rule]:
    """All there are, by subject."""
    return {row.subject: _rule(row) for row in connection.execute(select(retention))}


def put_rule(connection: Connection, subject: str, rule: Rule) -> None:
    """A row only where a number holds, or still does."""
    drop_rule(connection, subject)
    if rule.days is not None or rule.days_before is not None:
        values = {"days": rule.days, "days_before": rule.days_before, "effective_ms": rule.effective_ms}
        connection.execute(insert(retention).values(subject=subject, **values))


def drop_rule(connection: Connection, subject: str) -> None:
    connection.execute(delete(retention).where(retention.c.subject == subject))


def _rule(row: Row[tuple[str, int | None, int | None, int]]) -> Rule:
    return Rule(row.days, row.days_before, row.effective_ms)

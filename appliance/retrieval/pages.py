"""Where passages stand in their document."""

from __future__ import annotations

from sqlalchemy import Connection, select

from appliance.storage.tables import pages


def page_at(connection: Connection, document_id: str, position: int) -> int | None:
    """The page on which the character at `position` of the document's text stands."""
    statement = select(pages.c.number).where(pages.c.document_id == document_id, pages.c.start <= position)
    number: int | None = connection.execute(statement.order_by(pages.c.start.desc()).limit(1)).scalar()
    return number

"""How many rows each table of a database has: by that one sees whether anything was lost on the way."""

from __future__ import annotations

from sqlalchemy import Connection

_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name"
)


def row_counts(connection: Connection) -> dict[str, int]:
    """By table; of a search index those tables in which it keeps what it holds."""
    names = connection.exec_driver_sql(_TABLES).scalars().all()
    return {name: int(connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()) for name in names}

"""The SQL of second factors. What is begun and not confirmed counts for nothing."""

from __future__ import annotations

from sqlalchemy import Connection, select

from appliance.storage.tables import second_factors


def has_factor(connection: Connection, principal_id: str) -> bool:
    """Whether a code is asked for when this person signs in."""
    confirmed = (second_factors.c.principal_id == principal_id, second_factors.c.confirmed_ms.is_not(None))
    return connection.execute(select(second_factors.c.principal_id).where(*confirmed)).first() is not None

"""Rows as jobs: letting go of what a process that is gone had claimed.

Tables with work in them carry `claimed_by` and `lease_until_ms`. A lease that runs out frees its row anyway; this only spares
the wait where it is certain that the holder is dead.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, update

from appliance.storage.clock import now_ms


def release(connection: Connection, table: Table, holder_prefix: str) -> int:
    """End the running leases of all holders whose name starts with `holder_prefix`; how many there were."""
    held = (
        table.c.claimed_by.startswith(holder_prefix, autoescape=True),
        table.c.lease_until_ms > now_ms(),
    )
    return connection.execute(update(table).where(*held).values(lease_until_ms=0)).rowcount

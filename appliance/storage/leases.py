"""Rows as jobs: how long a claim lasts, and letting go of what a dead process had claimed.

Tables with work in them carry `claimed_by`, `lease_until_ms` and `attempts`. Whoever works on a row renews its lease; one that
runs out frees the row.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, update

from appliance.storage.clock import now_ms

LEASE_MS = 20_000
RENEWALS = 4
"""Within one lease."""


def release(connection: Connection, table: Table, holder_prefix: str, *, forgiven: bool = False) -> int:
    """End the running leases of all holders whose name starts with `holder_prefix`; how many there were.

    Spares the wait for their end where it is certain that the holders are dead. `forgiven` takes the try back: the holder was
    told to stop.
    """
    held = (
        table.c.claimed_by.startswith(holder_prefix, autoescape=True),
        table.c.lease_until_ms > now_ms(),
    )
    tries = {"attempts": table.c.attempts - 1} if forgiven else {}
    return connection.execute(update(table).where(*held).values(lease_until_ms=0, **tries)).rowcount

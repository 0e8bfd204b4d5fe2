"""What the data directory needs about every hour."""

from __future__ import annotations

import time

from sqlalchemy import delete

from appliance.bootstrap import Appliance
from appliance.storage.database import Database, checkpoint
from appliance.storage.tables import sessions
from workers.maintenance import Care


def cares(appliance: Appliance) -> list[Care]:
    """Everything there is to do, in order."""
    return [
        Care("orphan_blobs", appliance.documents.remove_orphans),
        Care("expired_sessions", lambda: remove_expired_sessions(appliance.database)),
        Care("write_ahead_log", lambda: _checkpoint(appliance.database)),
    ]


def remove_expired_sessions(database: Database) -> int:
    """Delete sessions past their absolute end; how many."""
    with database.write() as connection:
        return connection.execute(delete(sessions).where(sessions.c.expires_ms < int(time.time() * 1_000))).rowcount


def _checkpoint(database: Database) -> int:
    checkpoint(database)
    return 1

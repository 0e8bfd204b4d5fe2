"""What the data directory needs about every hour."""

from __future__ import annotations

from functools import partial

from appliance.bootstrap import Appliance
from appliance.storage.database import checkpoint
from workers.maintenance import Care


def cares(appliance: Appliance) -> list[Care]:
    """Everything there is to do, in order."""
    return [
        Care("orphan_blobs", appliance.documents.remove_orphans),
        Care("expired_sessions", appliance.sessions.remove_expired),
        Care("write_ahead_log", partial(checkpoint, appliance.database)),
    ]

"""What the data directory needs about every hour."""

from __future__ import annotations

from functools import partial

from appliance.backup.gathering import remove_left_links
from appliance.bootstrap import Appliance
from appliance.retrieval.index import merge_words
from appliance.retrieval.stored_postings import store_postings
from appliance.storage.database import Database, checkpoint
from appliance.storage.kept_copies import remove_expired
from workers.maintenance import Care


def cares(appliance: Appliance) -> list[Care]:
    """Everything there is to do, in order."""
    return [
        Care("egress_meter", appliance.egress.record),
        Care("audit_checkpoint", appliance.checkpoints.hourly),
        Care("left_passages", appliance.documents.sweep_passages),
        Care("orphan_blobs", appliance.documents.remove_orphans),
        Care("left_links", partial(remove_left_links, appliance.settings)),
        Care("kept_copies", partial(remove_expired, appliance.settings.copies_dir)),
        Care("quality", appliance.quality.record),
        Care("retention_clock", appliance.retention_clock.care),
        Care("expired_sessions", appliance.sessions.remove_expired),
        Care("search_index", partial(_merge_all, appliance.database)),
        Care("posting_lists", partial(store_postings, appliance.database)),
        Care("write_ahead_log", partial(checkpoint, appliance.database)),
    ]


def _merge_all(database: Database) -> int:
    """Each step is a transaction of its own, so that questions and uploads get their turn between two; how many there were."""
    steps, more = 0, True
    while more:
        with database.write() as connection:
            more = merge_words(connection)
        steps += more
    return steps

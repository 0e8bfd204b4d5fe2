"""What the data directory needs about every hour."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import delete, select

from appliance.bootstrap import Appliance
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database, checkpoint
from appliance.storage.tables import documents, sessions
from workers.maintenance import Care

ORPHAN_AGE_S = 3_600
"""Younger blobs may belong to an upload whose row is not yet written."""

DRAFT_AGE_S = 24 * 3_600


def cares(appliance: Appliance) -> list[Care]:
    """Everything there is to do, in order."""
    return [
        Care("orphan_blobs", lambda: remove_orphans(appliance.database, appliance.blobs)),
        Care("expired_sessions", lambda: remove_expired_sessions(appliance.database)),
        Care("write_ahead_log", lambda: _checkpoint(appliance.database)),
    ]


def remove_orphans(database: Database, blobs: BlobStore, now_s: float | None = None) -> int:
    """Delete blobs that no document refers to, and drafts whose upload ended without a word; how many.

    The lock of the database is held, so that no row can appear meanwhile. An upload of the same content may still put its file
    in place: the file is moved aside before its age is looked at again, so that only the old one can be lost.
    """
    now = time.time() if now_s is None else now_s
    removed = 0
    with database.write() as connection:
        known = set(connection.execute(select(documents.c.blob_name)).scalars())
        for name in list(blobs.names()):
            path = blobs.directory / name[:2] / name
            if name in known or not _older_than(path, now - ORPHAN_AGE_S):
                continue
            aside = path.with_suffix(".part")
            path.replace(aside)
            if _older_than(aside, now - ORPHAN_AGE_S):
                aside.unlink()
                removed += 1
            else:
                aside.replace(path)
    for draft in (blobs.directory / "drafts").glob("*.part"):
        if _older_than(draft, now - DRAFT_AGE_S):
            draft.unlink(missing_ok=True)
            removed += 1
    return removed


def remove_expired_sessions(database: Database) -> int:
    """Delete sessions past their absolute end; how many."""
    with database.write() as connection:
        return connection.execute(delete(sessions).where(sessions.c.expires_ms < int(time.time() * 1_000))).rowcount


def _older_than(path: Path, moment_s: float) -> bool:
    try:
        return path.stat().st_mtime < moment_s
    except FileNotFoundError:
        return False


def _checkpoint(database: Database) -> int:
    checkpoint(database)
    return 1

"""Puts the database as it was before an upgrade back in its place, while the box is stopped; the newer one is kept aside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import utc_text
from appliance.bootstrap.foundation import Foundation, open_foundation
from appliance.errors import NotFound, SetupError, Unavailable
from appliance.identity.models import SYSTEM
from appliance.identity.store import end_everything
from appliance.retention.clock import forget_run
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.durable import sync
from appliance.storage.kept_copies import KeptCopy, kept_copies, place_for, sound_revision, sweep
from appliance.storage.migrations import revision_of
from appliance.storage.tables import audit_events, documents
from appliance.storage.upgrading import alone, box_held, require_unused


@dataclass(frozen=True, slots=True)
class WentBack:
    """`copy` is what was put in place, `left` where the newer database lies now.

    `files_missing` are stored files of which the old database speaks and which were deleted since.
    """

    copy: KeptCopy
    left: Path
    sessions_ended: int
    keys_ended: int
    files_missing: int


def go_back(settings: Settings, progress: Callable[[str], None]) -> WentBack:
    """At every moment there is a whole database in its place. Nobody stays signed in, no API key goes on.

    The log says where it comes from.

    Raises `NotFound` (`upgrade.no_copy`), `SetupError` (`setup.in_use`, `setup.copy_damaged`, `setup.copy_failed`,
    `upgrade.log_unreadable`, `backup.no_links`).
    """
    with box_held(settings), alone(settings, progress), closing(open_foundation(settings)) as foundation:
        require_unused(settings)
        sweep(settings.copies_dir)
        current = str(revision_of(foundation.database))
        copy = _wanted(settings, current, _copy_of_last_upgrade(foundation.database))
        progress(f"Checking {copy.path}")
        sessions, keys, missing = _prepared(foundation, copy)
        try:
            foundation.database.end_log()
        except Unavailable as error:
            raise SetupError("Another process has the database open; end it first.", code="setup.in_use") from error
        left = place_for(settings.copies_dir, "left", current)
        _exchange(settings.database_path, copy.path, left)
    return WentBack(copy, left, sessions, keys, missing)


def _wanted(settings: Settings, current: str, name: str) -> KeptCopy:
    """No other one, however new: between an earlier upgrade and the last one lies work that nobody means to put aside."""
    copies = [copy for copy in kept_copies(settings.copies_dir) if not copy.left]
    for copy in copies:
        if copy.path.name == name and copy.revision != current:
            return copy
    others = ", ".join(copy.path.name for copy in copies if copy.revision != current)
    what = f" What is there is of earlier upgrades ({others}); docs/operations.md says how to take one by hand." if others else ""
    raise NotFound(
        f"{settings.copies_dir} holds no copy from before the last upgrade of this database, to which one could go back.{what}",
        code="upgrade.no_copy",
    )


def _copy_of_last_upgrade(database: Database) -> str:
    """The name that the log has of it; empty where none was kept. Raises `SetupError` (`upgrade.log_unreadable`)."""
    last = (
        select(audit_events.c.body)
        .where(audit_events.c.event == str(EventName.MIGRATION_APPLIED))
        .order_by(audit_events.c.seq.desc())
        .limit(1)
    )
    try:
        with database.read() as connection:
            body = connection.execute(last).scalar()
    except SQLAlchemyError as error:
        raise SetupError(
            "The log of the database cannot be read, which says to what one goes back. docs/operations.md says how to put a copy "
            "in its place by hand.",
            code="upgrade.log_unreadable",
        ) from error
    return str(json.loads(body).get("facts", {}).get("copy", "")) if body else ""


def _prepared(foundation: Foundation, copy: KeptCopy) -> tuple[int, int, int]:
    """The copy as it is to be opened; sessions and API keys ended, files missing."""
    copy.path.chmod(0o600)  # whoever kept it elsewhere and brought it back may have lost that
    with closing(foundation.database.like(copy.path)) as database:
        with database.read() as connection:
            if sound_revision(connection) != copy.revision:
                raise SetupError(f"{copy.path} is not what its name says.", code="setup.copy_damaged")
            names = set(connection.execute(select(documents.c.blob_name)).scalars())
        missing = sum(foundation.blobs.stored_bytes(name) is None for name in names)
        with database.write() as connection:
            sessions, keys = end_everything(connection)
            forget_run(connection)
            ended = {"sessions_ended": sessions, "keys_ended": keys}
            facts: dict[str, str | int] = {"made": utc_text(copy.made_ms), "schema": copy.revision, **ended}
            foundation.audit.append(connection, AuditEvent(EventName.BACKUP_RESTORED, SYSTEM, facts=facts))
        database.end_log()
    return sessions, keys, missing


def _exchange(database: Path, copy: Path, left: Path) -> None:
    try:
        os.link(database, left)
    except OSError as error:
        raise SetupError(
            f"The disk of the data directory knows no hard links ({error.strerror}); move the files by hand, as "
            "docs/operations.md says.",
            code="backup.no_links",
        ) from error
    copy.replace(database)
    for directory in (left.parent, database.parent):
        sync(directory)

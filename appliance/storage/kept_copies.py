"""Copies of the database from before it was upgraded, so that one can go back: encrypted like it, checked, few.

The database is all they hold. Stored files and models lie beside it, and no migration touches them.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from appliance.errors import SetupError, Unavailable
from appliance.storage.clock import DAY_MS, now_ms
from appliance.storage.database import Database
from appliance.storage.durable import settle, sync
from appliance.storage.row_counts import row_counts

KEPT = 2
KEPT_DAYS = 30
"""People were promised that what they delete is gone: it may not stay here for good."""
_DRAFT = ".making-"
_DATABASE = "cloister.db"
_TIME = "%Y-%m-%dT%H%M%SZ"
_NAMES = re.compile(r"(cloister|left)-(\w+)-(\d{4}-\d\d-\d\dT\d{6}Z)\.db")
_ROOM_LEFT_BYTES = 200_000_000
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """One of them; `left` are those that were put aside when somebody went back."""

    path: Path
    revision: str
    made_ms: int
    size_bytes: int
    left: bool


def kept_copies(directory: Path) -> list[KeptCopy]:
    """The newest first. Only plain files with a name of ours, and never a second name of the database beside the directory."""
    now, database = now_ms(), _status(directory.parent / _DATABASE)
    found = []
    for path, named in _named(directory):
        status = _status(path)
        if status is None or not stat.S_ISREG(status.st_mode) or (database and os.path.samestat(status, database)):
            continue
        with suppress(ValueError):  # digits that are no date
            ahead, made = _made(named[3], status, now)
            found.append((not ahead, KeptCopy(path, named[2], made, status.st_size, named[1] == "left")))
    return [copy for _, copy in sorted(found, key=lambda one: (one[0], one[1].made_ms, one[1].path.name), reverse=True)]


def _named(directory: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in directory.glob("*.db"):
        if named := _NAMES.fullmatch(path.name):
            yield path, named


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _made(named: str, status: os.stat_result, now: int) -> tuple[bool, int]:
    """Whether a clock was ahead when the name was given, and when it was made: then as the file says, and now at the latest."""
    made = int(datetime.strptime(named, _TIME).replace(tzinfo=UTC).timestamp() * 1_000)
    if made <= now + DAY_MS:
        return False, made
    return True, min(status.st_mtime_ns // 1_000_000, now)


def keep_copy(database: Database, directory: Path, revision: str, progress: Progress) -> KeptCopy:
    """A checked copy of the database, which is at `revision`; of older ones no more than the newest stays.

    For whoever upgrades, alone and with the write lock. Raises `SetupError` (`setup.no_room`, `setup.copy_failed`).
    """
    _require_directory(directory)
    sweep(directory)
    size = _require_room(database, directory)
    target = place_for(directory, "cloister", revision)
    draft = directory / f"{_DRAFT}{target.name}"
    progress(f"Copying the database first ({size / 1e6:,.1f} MB)")
    try:
        database.copy_to(draft, lambda done: progress(f"  {done / 1e6:,.0f} of {size / 1e6:,.0f} MB"))
        progress("Checking the copy")
        with database.read() as connection:
            rows = row_counts(connection)
        with closing(database.like(draft)) as copied:
            _require_sound(copied, revision, rows)
        settle(draft, target)
    except (SQLAlchemyError, Unavailable, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise SetupError(
            f"No copy of the database could be made, and without one it is not upgraded: {reason}", code="setup.copy_failed"
        ) from error
    finally:
        sweep(directory)
    _remove_superseded(directory)
    return next(copy for copy in kept_copies(directory) if copy.path == target)


def sound_revision(connection: Connection) -> str:
    """The revision of a database of which every page is authentic. Raises `SetupError` (`setup.copy_damaged`)."""
    faults = connection.execute(text("PRAGMA cipher_integrity_check")).first()
    if faults or connection.execute(text("PRAGMA quick_check")).scalar() != "ok":
        raise SetupError("The copy of the database is not sound.", code="setup.copy_damaged")
    if not inspect(connection).has_table("alembic_version"):
        raise SetupError("The copy of the database is empty.", code="setup.copy_damaged")
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def remove_expired(directory: Path) -> int:
    """Remove those that are too old; how many. What the clock has not come to yet counts from now."""
    now = now_ms()
    for path, _ in _named(directory):
        status = _status(path)
        if status and stat.S_ISREG(status.st_mode) and status.st_mtime_ns > (now + DAY_MS) * 1_000_000:
            with suppress(FileNotFoundError):
                os.utime(path, ns=(now * 1_000_000, now * 1_000_000))
    return _remove([copy for copy in kept_copies(directory) if now - copy.made_ms > KEPT_DAYS * DAY_MS])


def remove_all(directory: Path) -> int:
    """How many there were."""
    sweep(directory)
    return _remove(kept_copies(directory))


def place_for(directory: Path, kind: str, revision: str) -> Path:
    """A new name: `cloister` to go back to, `left` for what was left then. It is later than the others, whose times are past."""
    moment = max([now_ms(), *(copy.made_ms + 1_000 for copy in kept_copies(directory))])
    return directory / f"{kind}-{revision}-{datetime.fromtimestamp(moment / 1_000, UTC):{_TIME}}.db"


def sweep(directory: Path) -> None:
    """Remove what was begun and not finished: drafts, and a second name of the database, left by a way back that was killed.

    For whoever upgrades or goes back, alone. Raises `SetupError` (`setup.copy_failed`).
    """
    database = _status(directory.parent / _DATABASE)
    named = [path for path, _ in _named(directory)]
    second = [path for path in named if database and (status := _status(path)) and os.path.samestat(status, database)]
    for path in (*directory.glob(f"{_DRAFT}*"), *second):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(
                f"{path} is in the way of copies of the database and cannot be removed: {error.strerror}. Move it away, then "
                "try again.",
                code="setup.copy_failed",
            ) from error


def _require_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        sync(directory.parent)
    except OSError as error:
        raise SetupError(
            f"{directory}, where a copy of the database is to be kept, is no directory that can be used: {error.strerror}. Move "
            "away what is there, then try again.",
            code="setup.copy_failed",
        ) from error


def _require_room(database: Database, directory: Path) -> int:
    """How large the copy may become. The box needs some room for itself, and the upgrade does, too."""
    size = database.stored_bytes()
    needed, free = size + _ROOM_LEFT_BYTES, shutil.disk_usage(directory).free
    if free < needed:
        raise SetupError(
            f"Before the upgrade a copy of the database is kept, for which {directory} needs {needed / 1e6:,.0f} MB; "
            f"{free / 1e6:,.0f} MB are free. Make room and try again; or, where you have a backup, upgrade with "
            "`cloister upgrade --without-copy`.",
            code="setup.no_room",
            needed_bytes=needed,
            free_bytes=free,
        )
    return size


def _require_sound(copied: Database, revision: str, rows: dict[str, int]) -> None:
    with copied.read() as connection:
        if sound_revision(connection) != revision or row_counts(connection) != rows:
            raise SetupError("The copy of the database does not hold what the database holds.", code="setup.copy_failed")


def _remove_superseded(directory: Path) -> None:
    """One of each schema, since tries in vain must not push out what was kept before; then the newest ones."""
    found = kept_copies(directory)  # asked once: when a copy from a clock ahead was made is said by the moment of asking
    newest: dict[tuple[bool, str], KeptCopy] = {}
    for copy in found:
        newest.setdefault((copy.left, copy.revision), copy)
    stay = [*newest.values()][:KEPT]
    _remove([copy for copy in found if copy not in stay])


def _remove(copies: list[KeptCopy]) -> int:
    for copy in copies:
        for suffix in ("", "-wal", "-shm"):
            copy.path.with_name(copy.path.name + suffix).unlink(missing_ok=True)
    return len(copies)

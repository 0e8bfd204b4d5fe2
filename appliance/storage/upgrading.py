"""Takes a box over from an older version: alone, with a copy of the database kept, in one transaction.

Every process that opens a box comes by here. Where nothing is pending that costs one read. Else the first one does it and the
others wait for it; while the box, a worker or a backup of the older version runs nobody does, and no box starts meanwhile.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from appliance.errors import SetupError
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.kept_copies import KeptCopy, keep_copy
from appliance.storage.locks import sole_holder
from appliance.storage.migrations import migrate, newest_revision, revision_of

_OWN_LOCK = "upgrade.lock"
_STOP_IT = "its database can be neither upgraded nor taken back. Stop it first, then try again."


@dataclass(frozen=True, slots=True)
class Upgrading:
    """What the caller knows and wants. `holds_box`: it has the lock of the box; `keep`: a copy of the database as it was."""

    progress: Callable[[str], None] = lambda _: None
    holds_box: bool = False
    keep: bool = True


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done: from which schema (None of a new box), by which steps. `copy` is the database as it was."""

    found: str | None
    applied: tuple[str, ...]
    copy: KeptCopy | None

    @property
    def sentence(self) -> str:
        kept = f"; the database as it was is kept in {self.copy.path}" if self.copy else "; no copy was kept"
        return f"The box was upgraded from schema {self.found} to {self.applied[-1]}{kept}."


Record = Callable[[Connection, Upgraded], object]
"""Called in the transaction of the migration."""


def bring_up_to_date(database: Database, settings: Settings, wanted: Upgrading, record: Record) -> Upgraded | None:
    """None where nothing was pending. Raises `SetupError`: `setup.in_use`, and as `migrate` and `keep_copy` do."""
    found = revision_of(database)
    if found == newest_revision():
        return None
    kept: list[KeptCopy] = []
    done: list[Upgraded] = []

    def before(revision: str) -> None:
        if wanted.keep:
            kept.append(keep_copy(database, settings.copies_dir, revision, wanted.progress))

    def after(connection: Connection, applied: tuple[str, ...]) -> None:
        if found is not None:  # a worker or a backup of the older version may have begun while the copy was made
            require_unused(settings)
        done.append(Upgraded(found, applied, kept[0] if kept else None))
        record(connection, done[0])

    with ExitStack() as stack:
        if found is not None:  # of a new database there is nothing to keep; SQLite's own lock has one process make it
            stack.enter_context(alone(settings, wanted.progress))
            found = revision_of(database)  # whoever was waited for may have changed it
            if found != newest_revision():
                stack.enter_context(nullcontext() if wanted.holds_box else box_held(settings))
                require_unused(settings)
        migrate(database, before=before, after=after, progress=wanted.progress)
    if not done:
        return None
    if found is not None:
        wanted.progress(done[0].sentence)
    return done[0]


@contextmanager
def alone(settings: Settings, progress: Callable[[str], None]) -> Iterator[None]:
    """One process at a time upgrades a box or takes it back; the next one waits. The kernel ends this with the process."""
    settings.run_dir.mkdir(mode=0o700, exist_ok=True)
    descriptor = _opened(settings.run_dir / _OWN_LOCK, os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Another process upgrades this box or takes it back; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def box_held(settings: Settings) -> AbstractContextManager[None]:
    """The box cannot be started meanwhile, by a version of any age. Raises `SetupError` (`setup.in_use`)."""
    return sole_holder(settings.box_lock_path, f"The box is running; {_STOP_IT}", "setup.in_use")


def require_unused(settings: Settings) -> None:
    """For whoever holds the lock of the box. Raises `SetupError` (`setup.in_use`) while anything holds another lock of the run
    directory, a worker or a backup: it counts on the schema it knows.
    """
    others = [path for path in settings.run_dir.glob("*.lock") if path.name != _OWN_LOCK]
    if used := sorted(path.name.removesuffix(".lock") for path in others if _is_held(path)):
        raise SetupError(f"Something works on the box ({', '.join(used)}); {_STOP_IT}", code="setup.in_use")


def _opened(path: Path, how: int = 0) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | how, 0o600)
    except OSError as error:
        raise SetupError(f"{path} cannot be opened: {error.strerror}.", code="setup.unwritable") from error


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

"""Makes a box of an archive: beside its place, checked there, and put in place as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import select, text

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.integrity import check, foreign_triggers
from appliance.audit.tree_check import check_tree
from appliance.backup.container import damaged
from appliance.backup.keys import BackupKey, unwrapped
from appliance.backup.manifest import About, BoxParts, Model
from appliance.backup.names import DATABASE
from appliance.backup.outlet import file_errors
from appliance.backup.reading import Contents, key_for, read_archive
from appliance.bootstrap import Appliance, open_appliance
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.errors import Conflict, SetupError
from appliance.identity.models import SYSTEM
from appliance.identity.store import end_everything
from appliance.inference.store.manifest import NAME as MODELS_MANIFEST
from appliance.retention.clock import forget_run
from appliance.settings import Settings
from appliance.storage.blobs import sealed_bytes
from appliance.storage.durable import sync
from appliance.storage.scratch import held, leftovers, scratch, sweep_scratch
from appliance.storage.tables import documents
from appliance.storage.upgrading import Upgrading

POLICIES = "policies-of-the-backup"
_DRAFT = ".restoring-"
_NO_COPY = Upgrading(keep=False)  # of an older schema: the archive itself is what one can go back to
_KEY = "keys/root.key"
_RUN = "run"
_HARMLESS = {"lost+found", _RUN}
"""What a new volume may hold: of its file system, and the place where the run volume is mounted."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What the operator has: the root key, or the passphrase under which it is in the archive, asked for when it is needed."""

    root: bytes | None
    passphrase: Callable[[], str] | None

    def open(self, about: About, sealed: bytes | None) -> bytes:
        """Raises `SetupError`: `backup.key_missing`, `backup.wrong_key`."""
        if self.root is not None:
            return key_for(about, self.root)
        if sealed is None:
            raise SetupError(
                "The root key is not in this backup; name your copy of it with --key FILE.", code="backup.key_missing"
            )
        if self.passphrase is None:
            raise SetupError("The passphrase of the backup is needed, or the root key.", code="backup.key_missing")
        return key_for(about, unwrapped(sealed, self.passphrase(), about.key))


@dataclass(frozen=True, slots=True)
class Restored:
    """The new box. `models_missing` are to be brought; `policies_differing` lie in the data directory for comparison."""

    archive: Contents
    files: int
    audit_entries: int
    sessions_ended: int
    keys_ended: int
    models_missing: tuple[Model, ...]
    policies_differing: tuple[str, ...]


def restore(archive: Path, data_dir: Path, keys: Keys, progress: Callable[[str], None]) -> Restored:
    """Make the box. Nothing is at `data_dir` before everything was read and checked.

    Raises `Conflict` (`backup.occupied`), `NotFound` (`backup.missing`), `InvalidInput` (`backup.damaged`, `backup.newer`),
    `SetupError` (`backup.key_missing`, `backup.wrong_key`, `backup.unwritable`), `Unavailable` (`disk.full`).
    """
    data_dir = data_dir.absolute()
    _clear_half(data_dir)
    _refuse_occupied(data_dir)
    with file_errors(data_dir), _draft_beside(data_dir) as draft:
        progress(f"Reading {archive}")
        contents = read_archive(archive, keys.open, lambda name, pieces: _kept(draft, name, pieces))
        assert contents.root is not None
        parts = msgspec.json.decode(BackupKey(contents.root).unseal(contents.box, contents.about_bytes), type=BoxParts)
        differing = _place_small(draft, contents.root, parts)
        progress("Checking what was read")
        restored = _checked(draft, contents, parts, differing)
        os.sync()
        _refuse_occupied(data_dir)
        _put_in_place(draft, data_dir)
    return restored


def _clear_half(data_dir: Path) -> None:
    """Remove what a restore had put in place that was killed before the root key: its own directory still has that."""
    if (data_dir / _KEY).exists() or not (data_dir / DATABASE).exists():
        return
    for draft in leftovers(data_dir, _DRAFT):
        with suppress(BlockingIOError, NotADirectoryError, FileNotFoundError), held(draft):  # somebody's, or nothing of ours
            if (draft / _KEY).exists() and not (draft / DATABASE).exists():
                for path in sorted(_found(data_dir), key=lambda path: path.name == DATABASE):  # last: it tells that this is half
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                return


def _refuse_occupied(data_dir: Path) -> None:
    if data_dir.exists() and _found(data_dir):
        raise Conflict(f"{data_dir} is not empty; a backup is restored into a new directory.", code="backup.occupied")


def _found(data_dir: Path) -> list[Path]:
    """What is there and may not be there."""
    if not data_dir.is_dir():
        return [data_dir]
    drafts = leftovers(data_dir, _DRAFT)
    return [path for path in data_dir.iterdir() if path.name not in _HARMLESS and path not in drafts]


def _stays(data_dir: Path) -> bool:
    """Whether the directory itself is kept: a disk of its own, or one that holds what may be there."""
    return data_dir.is_dir() and (os.path.ismount(data_dir) or any(data_dir.iterdir()))


@contextmanager
def _draft_beside(data_dir: Path) -> Iterator[Path]:
    """A directory on the disk of `data_dir`; those that restores left there which were killed are removed."""
    if not data_dir.exists():
        data_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = data_dir if _stays(data_dir) else data_dir.parent
    sweep_scratch(parent, _DRAFT)
    with scratch(parent, _DRAFT) as draft:
        yield draft


def _kept(draft: Path, name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    target = draft / name
    for parent in reversed(target.relative_to(draft).parents):
        (draft / parent).mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)
            yield piece


def _place_small(draft: Path, root: bytes, parts: BoxParts) -> tuple[str, ...]:
    """The key, the settings, the list of models; policies that are not those of this installation go to a place of their own."""
    small = {_KEY: root}
    if parts.settings is not None:
        small["settings.toml"] = parts.settings.encode()
    if parts.models_manifest is not None:
        small[f"models/{MODELS_MANIFEST}"] = parts.models_manifest.encode()
    differing = [name for name, content in parts.policies.items() if _installed(name) != content]
    small |= {f"{POLICIES}/{Path(name).name}": parts.policies[name].encode() for name in differing}
    for name, content in small.items():
        for _ in _kept(draft, name, iter([content])):
            pass
    return tuple(sorted(differing))


def _installed(policy: str) -> str | None:
    path = POLICIES_DIR / Path(policy).name
    return path.read_text() if path.is_file() else None


def _checked(draft: Path, contents: Contents, parts: BoxParts, differing: tuple[str, ...]) -> Restored:
    """Open the box where it lies, look at everything, and write into its log where it comes from."""
    with closing(open_appliance(Settings(data_dir=draft), upgrading=_NO_COPY)) as appliance:
        entries, files = _sound(appliance)
        with appliance.database.write() as connection:
            sessions, keys = end_everything(connection)
            forget_run(connection)
            ended = {"sessions_ended": sessions, "keys_ended": keys}
            facts: dict[str, str | int] = {"sha256": contents.sha256, "made": contents.about.made, **ended}
            appliance.audit.append(connection, AuditEvent(EventName.BACKUP_RESTORED, SYSTEM, facts=facts))
        versions = {version.id: version for version in appliance.models.versions()}
        missing = [each for each in parts.models if each.id in versions and not appliance.models.content.holds(versions[each.id])]
    return Restored(contents, files, entries + 1, sessions, keys, tuple(missing), differing)


def _sound(appliance: Appliance) -> tuple[int, int]:
    """How many entries the log has, and how many files there are. Raises `InvalidInput` where anything is not as it must be."""
    with appliance.database.read() as connection:
        faults = connection.execute(text("PRAGMA cipher_integrity_check")).first()
        if faults or connection.execute(text("PRAGMA quick_check")).scalar() != "ok":
            raise damaged("the database in it is not sound")
        log = check(connection, appliance.keys.audit_sealing)
        if not log.intact or foreign_triggers(connection):
            raise damaged(f"the audit log in it does not verify ({log.reason or 'its triggers were changed'})")
        tree = check_tree(connection, appliance.checkpoints.verifier)
        if tree.fault:
            raise damaged(f"the audit log in it does not verify ({tree.fault})")
        wanted = connection.execute(select(documents.c.blob_name, documents.c.size_bytes)).all()
    if any(appliance.blobs.stored_bytes(row.blob_name) != sealed_bytes(row.size_bytes) for row in wanted):
        raise damaged("stored files are missing or cut")
    return log.checked, len({row.blob_name for row in wanted})


def _put_in_place(draft: Path, data_dir: Path) -> None:
    """One rename; where the directory itself stays, one for each part.

    The database goes first and the keys last, each on disk before the next: without a database a start would make a new box, and
    with one it makes no new key, so that nothing starts between the two.
    """
    shutil.rmtree(draft / _RUN, ignore_errors=True)  # made anew at each start; it may be a disk of its own
    if draft.parent != data_dir:
        draft.rename(data_dir)
        sync(data_dir.parent)
        return
    order = {DATABASE: 0, Path(_KEY).parts[0]: 2}
    for part in sorted(draft.iterdir(), key=lambda path: order.get(path.name, 1)):
        part.rename(data_dir / part.name)
        sync(data_dir)

"""Makes the archive, whether the box runs or not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.backup.container import write_end, write_member
from appliance.backup.gathering import ModelParts, Part, alone, snapshot
from appliance.backup.keys import BackupKey, wrapped
from appliance.backup.manifest import FORMAT, VERSION, About, BoxParts, Entry, Model, manifest_of
from appliance.backup.names import ABOUT, BOX, KEY, MANIFEST
from appliance.backup.outlet import Outlet, file_errors, outlet
from appliance.bootstrap import Appliance
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.errors import ApplianceError, InvalidInput, SetupError
from appliance.identity.models import SYSTEM
from appliance.identity.passwords import check_strength
from appliance.inference.store.versions import ModelVersion
from appliance.storage.keys import load_or_create_root_key

_PIECE_BYTES = 1024 * 1024
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """The archive. `files` are uploaded ones, `models` those whose content is in it."""

    path: Path
    sha256: str
    size_bytes: int
    files: int
    models: int
    seconds: float


def make_backup(
    appliance: Appliance, target: Path, progress: Progress, *, with_models: bool = False, passphrase: str | None = None
) -> Made:
    """One archive at `target`, or in it where it is a directory; on record in the audit log with its digest.

    The root key is in it only under a `passphrase`. Raises `Conflict` (`backup.exists`), `InvalidInput` (`backup.inside`,
    `password.*`), `SetupError` (`backup.running`, `backup.unwritable`, `setup.model_*`), `Unavailable` (`disk.full`,
    `backup.files_missing`).
    """
    try:
        return _make(appliance, target, progress, with_models=with_models, passphrase=passphrase)
    except ApplianceError as error:
        with appliance.database.write() as connection:
            failed = AuditEvent(EventName.BACKUP_MADE, SYSTEM, outcome=Outcome.FAILURE, facts={"reason": error.stable_code})
            appliance.audit.append(connection, failed)
        raise


def _make(appliance: Appliance, target: Path, progress: Progress, *, with_models: bool, passphrase: str | None) -> Made:
    began, made = time.monotonic(), datetime.now(UTC)
    if passphrase is not None:
        check_strength(passphrase)
    settings = appliance.settings
    if target.is_dir():
        target /= f"cloister-backup-{made:%Y-%m-%dT%H%M%SZ}.tar"
    if target.resolve().is_relative_to(settings.data_dir.resolve()):
        raise InvalidInput("A backup inside the data directory is lost with it; name another place.", code="backup.inside")
    with alone(settings), ExitStack() as stack:
        out = stack.enter_context(outlet(target))
        progress("Copying the database")
        with file_errors(settings.data_dir):
            taken = stack.enter_context(snapshot(appliance))
        models = None
        if with_models:
            models = stack.enter_context(closing(ModelParts(appliance.models.content, taken.versions)))
        root = load_or_create_root_key(settings.root_key_path, create=False)
        key = BackupKey(root)
        archive = _Archive(out, int(made.timestamp()))
        about = msgspec.json.encode(About(FORMAT, VERSION, f"{made:%Y-%m-%dT%H:%M:%SZ}", taken.schema, key.id))
        archive.add_bytes(ABOUT, about)
        if passphrase is not None:
            archive.add_bytes(KEY, wrapped(root, passphrase, key.id))
        archive.add_bytes(BOX, key.seal(msgspec.json.encode(_box_parts(appliance, taken.versions, models)), about))
        progress(f"Copying {len(taken.parts) - 1} files")
        for part in taken.parts:
            with part.path.open("rb") as file:
                archive.add(part, file)
        for part, opened in models.opened if models else ():
            progress(f"Copying {part.name}")
            archive.add(part, opened)
        archive.add_bytes(MANIFEST, manifest_of(list(archive.entries), key))
        write_end(out)
        out.finish()
        result = Made(
            target.absolute(),
            out.sha256,
            out.size_bytes,
            len(taken.parts) - 1,
            sum(version.format != "served" for version in taken.versions) if models else 0,
            round(time.monotonic() - began, 1),
        )
        # before the archive has its name: none is out there that the log does not know, and no writer waits for that disk
        _record(appliance, result, with_key=passphrase is not None)
        out.place()
    return result


class _Archive:
    """Members written so far."""

    def __init__(self, out: Outlet, modified_s: int) -> None:
        self._out = out
        self._modified_s = modified_s
        self.entries: list[Entry] = []

    def add_bytes(self, name: str, content: bytes) -> None:
        self.entries.append(Entry(name, len(content), write_member(self._out, name, len(content), self._modified_s, [content])))

    def add(self, part: Part, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        found = write_member(self._out, part.name, size, self._modified_s, _pieces(file))
        if part.sha256 and found != part.sha256:
            raise SetupError(f"The model file {part.path} is damaged or was exchanged.", code="setup.model_digest")
        self.entries.append(Entry(part.name, size, found))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _box_parts(appliance: Appliance, versions: tuple[ModelVersion, ...], models: ModelParts | None) -> BoxParts:
    settings = appliance.settings.data_dir / "settings.toml"
    policies = {path.name: path.read_text() for path in sorted(POLICIES_DIR.iterdir()) if path.suffix in _POLICIES}
    listed = [Model(each.id, each.sha256, each.size_bytes) for each in versions]
    return BoxParts(settings.read_text() if settings.exists() else None, policies, listed, models.manifest if models else None)


_POLICIES = {".toml", ".cedar", ".cedarschema"}


def _record(appliance: Appliance, made: Made, *, with_key: bool) -> None:
    facts: dict[str, str | int] = {
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "files": made.files,
        "models": made.models,
        "root_key": "under a passphrase" if with_key else "not included",
    }
    with appliance.database.write() as connection:
        appliance.audit.append(connection, AuditEvent(EventName.BACKUP_MADE, SYSTEM, facts=facts))

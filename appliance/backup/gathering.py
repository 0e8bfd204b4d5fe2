"""What goes into an archive: a snapshot of the database, the stored files it speaks of, and models.

The stored files are given a second name first (hard links: no copy, no waiting), then the database is copied, then what came
meanwhile is linked as well. So a document that is deleted while we work is in the archive as it was in the snapshot.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select, text

from appliance.backup.names import DATABASE, blob_member
from appliance.bootstrap import Appliance
from appliance.errors import SetupError, Unavailable
from appliance.inference.store.content import ContentStore
from appliance.inference.store.manifest import NAME as MODELS_MANIFEST
from appliance.inference.store.manifest import read_manifest
from appliance.inference.store.records import load_versions
from appliance.inference.store.versions import ModelVersion
from appliance.settings import Settings
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from appliance.storage.locks import sole_holder
from appliance.storage.tables import documents

STAGING = "backup-in-the-making"
_TRIES = 3
_ROOM_LEFT_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A file for the archive; `sha256` where it is known what it must be."""

    name: str
    path: Path
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The box at one moment. `parts` begin with the database."""

    schema: str
    parts: tuple[Part, ...]
    versions: tuple[ModelVersion, ...]


def alone(settings: Settings) -> AbstractContextManager[None]:
    """One backup of a box at a time. Raises `SetupError` (`backup.running`)."""
    return sole_holder(settings.run_dir / "backup.lock", "A backup of this box is being made already.", "backup.running")


def remove_left_links(settings: Settings) -> int:
    """Remove what a backup left that was killed: second names of stored files, which a deletion would not reach; how many.

    Raises `SetupError` (`setup.unwritable`).
    """
    staging = settings.data_dir / STAGING
    if not staging.exists():
        return 0
    try:
        with alone(settings):
            found = len(list(staging.iterdir())) if staging.exists() else 0
            shutil.rmtree(staging, ignore_errors=True)
            return found
    except SetupError as error:
        if error.stable_code == "backup.running":  # these are in use
            return 0
        raise


@contextmanager
def snapshot(appliance: Appliance) -> Iterator[Snapshot]:
    """The database and the stored files of one moment, for as long as this lasts; for whoever is `alone`.

    Raises `Unavailable`: `disk.full`, `backup.files_missing`; `SetupError` (`backup.no_links`).
    """
    staging = appliance.settings.data_dir / STAGING
    shutil.rmtree(staging, ignore_errors=True)  # of a backup that was killed
    staging.mkdir(mode=0o700)
    try:
        yield _taken(appliance, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _taken(appliance: Appliance, staging: Path) -> Snapshot:
    for _ in range(_TRIES):
        _link(appliance.blobs, _blob_names(appliance.database), staging)
        copy = staging / DATABASE
        copy.unlink(missing_ok=True)
        _require_room(appliance.database, staging)
        appliance.database.copy_to(copy)
        with closing(Database(copy, appliance.keys.database, read_connections=1)) as copied:
            names = _blob_names(copied)
            with copied.read() as connection:
                versions = tuple(load_versions(connection))
                schema = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
        missing = _link(appliance.blobs, names, staging)
        if not missing:
            parts = (Part(DATABASE, copy), *(Part(blob_member(name), staging / name) for name in names))
            return Snapshot(schema, parts, versions)
    raise Unavailable(
        f"{missing} stored files of the box are missing, so that a backup would not be whole; `cloister doctor` says more.",
        code="backup.files_missing",
        missing=missing,
    )


def _require_room(database: Database, staging: Path) -> None:
    """Before a copy takes the room that the running box needs for its own."""
    if shutil.disk_usage(staging).free < database.path.stat().st_size + _ROOM_LEFT_BYTES:
        raise Unavailable("The disk of the box has no room for a copy of the database, which a backup needs.", code="disk.full")


def _blob_names(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(select(documents.c.blob_name).distinct()).scalars())


def _link(blobs: BlobStore, names: list[str], staging: Path) -> int:
    """Give each a name in `staging`, too; how many are not there."""
    missing = 0
    for name in names:
        if (staging / name).exists():
            continue
        try:
            os.link(blobs.path(name), staging / name)
        except FileNotFoundError:
            missing += 1
        except OSError as error:
            if error.errno in {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV}:
                raise SetupError(
                    f"The disk of the data directory knows no hard links ({error.strerror}), which a backup needs.",
                    code="backup.no_links",
                ) from error
            raise
    return missing


class ModelParts:
    """The files of the box's models, opened: what is deleted meanwhile is still read."""

    def __init__(self, content: ContentStore, versions: tuple[ModelVersion, ...]) -> None:
        """Raises `SetupError` (`setup.model_missing`) for a version whose content is not there."""
        self._content = content
        self.manifest: str | None = None
        self.opened: list[tuple[Part, BinaryIO]] = []
        with ExitStack() as stack:
            for part in {part.name: part for part in self._parts(versions)}.values():
                try:
                    file = stack.enter_context(part.path.open("rb"))
                except FileNotFoundError:
                    raise SetupError(f"The model file {part.path} is missing.", code="setup.model_missing") from None
                self.opened.append((part, file))
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def _parts(self, versions: tuple[ModelVersion, ...]) -> Iterator[Part]:
        directory = self._content.directory
        prepared = read_manifest(directory)
        if prepared is not None:
            self.manifest = (directory / MODELS_MANIFEST).read_text()
            for sha256 in (prepared.tokenizer_sha256, *(model.sha256 for model in prepared.models)):
                yield self._part(self._content.file_path(sha256), sha256)
        for version in versions:
            for adapter in version.adapters:
                yield self._part(self._content.file_path(adapter.sha256), adapter.sha256)
            if version.format == "served":
                continue
            if version.encrypted:
                for sha256 in version.sealed:
                    yield self._part(self._content.sealed_path(sha256))
            elif version.files:
                for file in version.files:
                    yield self._part(directory / version.file / file.path, file.sha256)
            else:
                yield self._part(self._content.file_path(version.sha256), version.sha256)

    def _part(self, path: Path, sha256: str = "") -> Part:
        return Part(f"models/{path.relative_to(self._content.directory).as_posix()}", path, sha256)

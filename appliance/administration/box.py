"""The state of the box, for those who run it: counts, sizes and versions, never a document's name."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from sqlalchemy import Connection, Table, func, select, text

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.identity import store as identity_store
from appliance.identity.models import Principal
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.policy.store import load_collections
from appliance.settings import Settings
from appliance.storage import tables
from appliance.storage.database import Database

PACKAGES = ("cloister", "llama-cpp-python", "onnxruntime", "sqlcipher3", "sqlite-vec", "cedarpy", "litestar", "dramatiq")


@dataclass(frozen=True, slots=True)
class Disk:
    """Sizes in bytes; `total` and `free` are of the file system that holds the data directory."""

    total: int
    free: int
    database: int
    blobs: int
    models: int


@dataclass(frozen=True, slots=True)
class BoxState:
    """Counts by status, disk and versions at one moment."""

    people: int
    collections: int
    chunks: int
    audit_events: int
    disk: Disk
    documents: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class BoxReview:
    """What administrators see of the machine; each look is audited before anything is shown."""

    def __init__(self, *, database: Database, access: Access, audit: AuditLog, settings: Settings) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._settings = settings

    def state(self, principal: Principal) -> BoxState:
        """Raises `Denied` where policy refuses."""
        self._access.require(principal, Action.BOX_READ, APPLIANCE)
        with self._database.write() as connection:
            self._audit.append(connection, AuditEvent(EventName.BOX_READ, principal))
        with self._database.read() as connection:
            return BoxState(
                people=identity_store.count_accounts(connection),
                collections=len(load_collections(connection)),
                chunks=_count(connection, tables.chunks),
                audit_events=_count(connection, tables.audit_events),
                documents=_by_status(connection, tables.documents),
                messages=_by_status(connection, tables.messages, role="assistant"),
                disk=_disk(self._settings),
                versions=_versions(connection),
            )


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _by_status(connection: Connection, table: Table, role: str | None = None) -> dict[str, int]:
    query = select(table.c.status, func.count()).group_by(table.c.status).order_by(table.c.status)
    if role is not None:
        query = query.where(table.c.role == role)
    return dict(connection.execute(query).tuples().all())


def _disk(settings: Settings) -> Disk:
    usage = shutil.disk_usage(settings.data_dir)
    database = settings.database_path
    parts = [database, database.with_name(database.name + "-wal")]
    return Disk(
        total=usage.total,
        free=usage.free,
        database=sum(part.stat().st_size for part in parts if part.exists()),
        blobs=_size(settings.blobs_dir),
        models=_size(settings.models_dir),
    )


def _size(directory: Path) -> int:
    """Bytes below `directory`; files that vanish while it is counted count nothing."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += Path(folder, name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _versions(connection: Connection) -> dict[str, str]:
    found = {"python": platform.python_version(), "kernel": platform.release()}
    found["sqlite"] = str(connection.execute(text("SELECT sqlite_version()")).scalar_one())
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))

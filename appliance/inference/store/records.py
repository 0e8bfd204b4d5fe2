"""Versions and trusted signers as rows; the only SQL of the model store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from appliance.errors import NotFound
from appliance.inference.store.versions import ModelVersion, SizeClass, StoredFile, VersionState, version_id
from appliance.storage.clock import now_ms
from appliance.storage.tables import audit_resources, model_signers, model_versions

_JSON = ("files", "prompt", "measured", "trials")


@dataclass(frozen=True, slots=True)
class Signer:
    """A key whose signatures an administrator trusts; `fingerprint` is the SHA-256 of the 32 bytes."""

    fingerprint: str
    public_key: bytes
    name: str
    trusted_ms: int


def load_versions(connection: Connection) -> list[ModelVersion]:
    """All versions, by name, newest first."""
    query = select(model_versions).order_by(model_versions.c.kind.desc(), model_versions.c.name, model_versions.c.number.desc())
    return [_version(row) for row in connection.execute(query)]


def load_version(connection: Connection, wanted: str) -> ModelVersion:
    """Raises `NotFound` (`model.unknown`)."""
    row = None
    if wanted.isascii():  # as ids are; a shell may hand over what is no text, and that cannot be bound
        row = connection.execute(select(model_versions).where(model_versions.c.id == wanted)).one_or_none()
    if row is None:
        raise NotFound(f"There is no model version {wanted}.", code="model.unknown")
    return _version(row)


def next_number(connection: Connection, name: str) -> int:
    """The number after the highest one of this name that ever was: the audit log speaks of deleted ones too."""
    query = select(audit_resources.c.resource_id).where(
        audit_resources.c.kind == "model", audit_resources.c.resource_id.startswith(f"{name}@", autoescape=True)
    )
    spoken_of = [int(identifier.rpartition("@")[2]) for identifier in connection.execute(query).scalars()]
    stored = connection.execute(select(func.max(model_versions.c.number)).where(model_versions.c.name == name)).scalar()
    return max(stored or 0, *spoken_of, 0) + 1


def insert_version(connection: Connection, version: ModelVersion) -> ModelVersion:
    """Store `version` under the next number of its name; as it was stored."""
    number, now = next_number(connection, version.name), now_ms()
    stored = replace(version, id=version_id(version.name, number), number=number, imported_ms=now, changed_ms=now)
    connection.execute(insert(model_versions), _columns(stored))
    return stored


def set_state(connection: Connection, version: ModelVersion, state: VersionState, **columns: Any) -> None:
    """Change the state; a share or a group ends with the state of a canary."""
    values = {"canary_percent": None, "canary_group": None, **columns, "state": state.value, "changed_ms": now_ms()}
    connection.execute(update(model_versions).where(model_versions.c.id == version.id).values(**values))


def make_active(connection: Connection, version: ModelVersion) -> str | None:
    """Make `version` the active one of its name; the id of the one that was and is retired now."""
    others = [other for other in load_versions(connection) if other.name == version.name]
    current = next((other for other in others if other.state is VersionState.ACTIVE), None)
    if current is not None:
        set_state(connection, current, VersionState.RETIRED)
    set_state(connection, version, VersionState.ACTIVE, replaced=current.id if current else None)
    return current.id if current else None


def set_measured(
    connection: Connection,
    version: ModelVersion,
    measured: Mapping[str, float],
    trials: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Store figures, and the table of what was measured beside; without a table the one that is there stays."""
    values: dict[str, Any] = {"measured": json.dumps(_plain(measured))}
    if trials is not None:
        values["trials"] = json.dumps(_plain(trials))
    connection.execute(update(model_versions).where(model_versions.c.id == version.id).values(**values))


def delete_version(connection: Connection, version: ModelVersion) -> None:
    connection.execute(delete(model_versions).where(model_versions.c.id == version.id))


def content_is_used(connection: Connection, sha256: str, *, encrypted: bool) -> bool:
    """Whether a version still rests on this content."""
    wanted = (model_versions.c.sha256 == sha256, model_versions.c.encrypted == encrypted)
    return connection.execute(select(func.count()).where(*wanted)).scalar_one() > 0


def load_signers(connection: Connection) -> list[Signer]:
    query = select(model_signers).order_by(model_signers.c.name, model_signers.c.fingerprint)
    return [Signer(row.fingerprint, bytes(row.public_key), row.name, row.trusted_ms) for row in connection.execute(query)]


def insert_signer(connection: Connection, signer: Signer) -> None:
    connection.execute(insert(model_signers), asdict(signer))


def delete_signer(connection: Connection, fingerprint: str) -> None:
    connection.execute(delete(model_signers).where(model_signers.c.fingerprint == fingerprint))


def _columns(version: ModelVersion) -> dict[str, Any]:
    columns = {name: getattr(version, name) for name in model_versions.c.keys()}  # noqa: SIM118 - a collection of columns
    columns["files"] = [asdict(file) for file in version.files]
    columns |= {name: json.dumps(_plain(columns[name])) for name in _JSON}
    return columns | {"state": version.state.value, "size_class": version.size_class.value}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [dict(item) for item in value]


def _version(row: Row[Any]) -> ModelVersion:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's columns
    values |= {name: json.loads(values[name]) for name in _JSON}
    values["files"] = tuple(StoredFile(**file) for file in values["files"])
    values["trials"] = tuple(values["trials"])
    return ModelVersion(**values | {"state": VersionState(values["state"]), "size_class": SizeClass(values["size_class"])})

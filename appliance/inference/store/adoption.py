"""Makes versions of the models that the box prepared for itself, so that they are listed and audited as all others."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.identity.models import SYSTEM
from appliance.inference.models import Model
from appliance.inference.store import records
from appliance.inference.store.content import ContentStore
from appliance.inference.store.manifest import Manifest, read_manifest
from appliance.inference.store.memory import needed_mb
from appliance.inference.store.versions import Facts, ModelVersion, VersionState, size_class
from appliance.storage.database import Database

# all-MiniLM-L6-v2 as published; the graph that is built of it does not say so itself
_EMBEDDER_PARAMETERS_M = 22.7


def adopt_prepared(database: Database, audit: AuditLog, models_dir: Path) -> list[ModelVersion]:
    """Record prepared models that have no version yet; those recorded now. Costs one query where there is nothing to do.

    A new one becomes active where the version it follows was prepared by the box too, or where there is none; what an
    administrator activated stays active. An embedding model that follows another one waits until everything is embedded with it
    (administration/embedding.py).
    """
    manifest = read_manifest(models_dir)
    if manifest is None:
        return []
    content, models = ContentStore(models_dir), list(manifest.models)
    with database.read() as connection:
        if not _missing(connection, models):
            return []
    facts = {model.id: _facts(content, model) for model in models}
    with database.write() as connection:
        return [_adopt(connection, audit, manifest, model, facts[model.id]) for model in _missing(connection, models)]


def is_prepared(models_dir: Path, version: ModelVersion) -> bool:
    """Whether the box would prepare this very content again at its next start."""
    manifest = read_manifest(models_dir)
    return manifest is not None and any(model.sha256 == version.sha256 for model in manifest.models)


def _missing(connection: Connection, models: list[Model]) -> list[Model]:
    known = {(version.name, version.sha256) for version in records.load_versions(connection) if not version.encrypted}
    return [model for model in models if (model.id, model.sha256) not in known]


def _adopt(connection: Connection, audit: AuditLog, manifest: Manifest, model: Model, facts: Facts) -> ModelVersion:
    version = ModelVersion(
        id="",
        kind=model.kind,
        name=model.id,
        number=0,
        format=facts.format,
        quantisation=facts.quantisation,
        architecture=facts.architecture,
        parameters_m=facts.parameters_m,
        size_class=size_class(facts.parameters_m),
        context_tokens=model.context_tokens,
        memory_mb=needed_mb(facts, model.size_bytes),
        licence=model.licence,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        source=model.source,
        state=VersionState.CANDIDATE,
        measured=model.measured,
        trials=manifest.trials if model.kind == "language" else (),
    )
    before = [other for other in records.load_versions(connection) if other.kind == model.kind]
    stored = records.insert_version(connection, version)
    about = (ResourceRef("model", stored.id),)
    content: dict[str, str | int] = {
        "sha256": stored.sha256,
        "size_bytes": stored.size_bytes,
        "format": stored.format,
        "prepared": "yes",
    }
    audit.append(connection, AuditEvent(EventName.MODEL_IMPORTED, SYSTEM, resources=about, facts=content))
    current = next((other for other in before if other.name == stored.name and other.state is VersionState.ACTIVE), None)
    follows = current is not None and current.source == stored.source and stored.kind != "embedding"
    if follows or not before:
        if current is not None:
            records.set_state(connection, current, VersionState.RETIRED)
        replaced = current.id if current else None
        records.set_state(connection, stored, VersionState.ACTIVE, replaced=replaced)
        told = {"replaced": replaced or "nothing"}
        audit.append(connection, AuditEvent(EventName.MODEL_ACTIVATED, SYSTEM, resources=about, facts=told))
    return records.load_version(connection, stored.id)


def _facts(content: ContentStore, model: Model) -> Facts:
    if model.kind == "language":
        from appliance.inference.store.gguf import read_gguf
        from appliance.inference.store.incoming import gguf_facts

        return gguf_facts(read_gguf(content.file_path(model.sha256)))
    return Facts(
        format="onnx",
        kind="embedding",
        title=model.id,
        architecture="bert",
        quantisation="int8",
        parameters_m=_EMBEDDER_PARAMETERS_M,
        context_tokens=model.context_tokens,
        kv_bytes_per_token=0,
        vocabulary=0,
        chat_template=False,
        licence=model.licence,
    )

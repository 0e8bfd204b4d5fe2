"""Replacing the embedding model: begun and abandoned by administrators, done in the background (documents/reembedding.py)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from appliance.administration.golden.heeding import Heed
from appliance.administration.golden.index_gate import IndexGate
from appliance.administration.golden.objection import GoldenObjection
from appliance.audit.events import AuditEvent, EventName, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import Conflict
from appliance.identity.models import SYSTEM, Principal
from appliance.inference.store import records
from appliance.inference.store.versions import ModelVersion, VersionState
from appliance.retrieval import indexes
from appliance.retrieval.index_progress import IndexProgress, progress
from appliance.retrieval.indexes import IndexState
from appliance.storage.database import Database

_FORMATS = frozenset({"gguf", "onnx", "served"})


def take_up(connection: Connection, audit: AuditLog, gate: IndexGate, heed: Heed, version: ModelVersion) -> None:
    """Begin, or where golden sets keep the index of this version from it, let it take over despite them, on record.

    Raises `Conflict` as `begin_embedding`, and `golden.not_compared` for a reason that is given before all required sets were
    asked of everything as it is now: there is nothing to override yet. Raises `GoldenObjection` where no reason is given.
    """
    running = indexes.building(connection)
    if running is None or running.model_id != version.id or not running.against:
        if heed.despite and gate.required(connection):
            raise Conflict(
                "Golden sets are asked once everything is embedded; give the reason then, should they speak against it.",
                code="golden.not_compared",
            )
        begin_embedding(connection, audit, heed.principal, version)
        return
    if heed.despite and gate.next_unasked(connection, running) is not None:
        raise Conflict(
            "Golden sets are being asked anew, since documents or questions changed, or one could not be asked; "
            "give the reason in a moment, should they still speak against it.",
            code="golden.not_compared",
        )
    try:
        gate.require(connection, running, heed.readable)
    except GoldenObjection as objection:
        if not heed.despite:
            raise
        heed.override(connection, version, objection)
        indexes.let_through(connection, running.number)
        return
    begin_embedding(connection, audit, heed.principal, version)  # refused: what is building takes over by itself


def begin_embedding(
    connection: Connection, audit: AuditLog, principal: Principal, version: ModelVersion, *, unconditional: bool = False
) -> None:
    """Have everything embedded anew with this version, which takes over when that is done and no golden set speaks against it.

    With `unconditional` it does whatever they say: the way back is never held up. Raises `Conflict`: `model.embedder_format`, and
    `model.embedding_running` while another one is being made ready.
    """
    if version.format not in _FORMATS:
        raise Conflict("Documents are embedded with no model of this format.", code="model.embedder_format")
    running = indexes.building(connection)
    if running is not None:
        raise Conflict(
            f"The documents are being embedded with {running.model_id} already; wait for it, or abandon it first.",
            code="model.embedding_running",
        )
    before = indexes.serving(connection)
    begun = indexes.begin(connection, version.id, version.vectors_sha256, principal.id, unconditional=unconditional)
    (state,) = [index for index in progress(connection) if index.number == begun.number]
    facts: dict[str, str | int] = {
        "index": begun.number,
        "sha256": version.sha256,
        "before": before.model_id or "nothing",
        "documents": state.documents,
        "passages": state.passages,
    }
    about = (ResourceRef("model", version.id),)
    audit.append(connection, AuditEvent(EventName.EMBEDDING_BEGUN, principal, resources=about, facts=facts))


def abandon_embedding(connection: Connection, audit: AuditLog, principal: Principal, name: str) -> ModelVersion:
    """Give up the re-embedding with a version, named by its id or its name. Raises `Conflict` (`model.nothing_embedding`)."""
    running = indexes.building(connection)
    if running is None or name not in {running.model_id, running.model_id.rpartition("@")[0]}:
        raise Conflict(f"The documents are not being embedded with {name}.", code="model.nothing_embedding")
    state = next(index for index in progress(connection) if index.state is IndexState.BUILDING)
    indexes.abandon(connection, running)
    facts: dict[str, str | int] = {"index": running.number, "passages": state.passages, "passages_done": state.passages_done}
    about = (ResourceRef("model", running.model_id),)
    audit.append(connection, AuditEvent(EventName.EMBEDDING_ABANDONED, principal, resources=about, facts=facts))
    return records.load_version(connection, running.model_id)


def require_not_embedding(connection: Connection, version: ModelVersion) -> None:
    """Raise `Conflict` (`model.embedding_running`) for the version that documents are being embedded with."""
    running = indexes.building(connection)
    if running is not None and running.model_id == version.id:
        raise Conflict(f"The documents are being embedded with {version.id}; abandon that first.", code="model.embedding_running")


def index_states(database: Database) -> list[IndexProgress]:
    """How far each index is, the serving one first."""
    with database.read() as connection:
        return progress(connection)


def settle_indexes(database: Database, audit: AuditLog, adopted: Sequence[ModelVersion]) -> None:
    """Record which model the index was made with, where nobody has yet, and begin what a default model prepared anew asks for.

    The box prepares its embedder again where its recipe or its processor changed. Such vectors are nearly the old ones, and
    nearly is not enough to mix them.
    """
    with database.read() as connection:
        index, running = indexes.serving(connection), indexes.building(connection)
        active = [
            version
            for version in records.load_versions(connection)
            if version.kind == "embedding" and version.state is VersionState.ACTIVE
        ]
    if active and not index.sha256:
        with database.write() as connection:
            indexes.record_model(connection, active[0].id, active[0].vectors_sha256)
    for version in adopted:
        follows = active and (version.name, version.source) == (active[0].name, active[0].source)
        if version.kind == "embedding" and version.state is VersionState.CANDIDATE and follows and running is None:
            with database.write() as connection:
                begin_embedding(connection, audit, SYSTEM, version)
            return

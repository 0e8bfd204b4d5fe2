"""Bringing models in, each as a candidate: from a file, by a name, or one that stays inside a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import ApplianceError, Conflict, InvalidInput
from appliance.identity.models import Principal
from appliance.inference.load_failures import LoadFailures
from appliance.inference.store import ModelStore, records
from appliance.inference.store.catalogue import Catalogue
from appliance.inference.store.connecting import Told, connected
from appliance.inference.store.importing import Order, Prepared, check_order, prepare
from appliance.inference.store.incoming import Incoming, choose, look
from appliance.inference.store.memory import box_mb
from appliance.inference.store.remote import named
from appliance.inference.store.versions import ModelVersion
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database
from appliance.storage.digests import Watch

if TYPE_CHECKING:
    from appliance.egress.gate import Gate

Facts = dict[str, str | int]


class ModelImporting:
    """Checks what comes, stores it and records its version. What a version may then do is up to `ModelAdministration`."""

    def __init__(
        self,
        database: Database,
        access: Access,
        audit: AuditLog,
        store: ModelStore,
        catalogue: Catalogue,
        *,
        failures: LoadFailures,
        ollama_address: str = "",
    ) -> None:
        """`failures` say what could not be loaded; `ollama_address` is where the Ollama of this box answers, the usual place
        where it is empty.
        """
        self.catalogue = catalogue
        self._database = database
        self._access = access
        self._audit = audit
        self._store = store
        self._failures = failures
        self._ollama_address = ollama_address

    def take_in(
        self, principal: Principal, source: Path, order: Order, *, wanted: str | None = None, watch: Watch | None = None
    ) -> ModelVersion:
        """Import the model at `source` (a file, a folder, a package) as a candidate; of several the one called `wanted`.

        Raises `InvalidInput` with one code per reason (`model.*`), `Conflict` (`model.already`), `Unavailable` (`disk.full`);
        each refusal is audited.
        """
        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._refusals(principal):
            return self._take_in(principal, choose(look(source), wanted), order, watch)

    def pull(
        self, principal: Principal, name: str, order: Order, *, ollama_dir: Path | None = None, watch: Watch | None = None
    ) -> ModelVersion:
        """Import by a name: of the catalogue, or `ollama:NAME` of the Ollama on this box. Nothing is fetched over a connection.

        Raises as `take_in` does, and `Unavailable` (`model.pull_closed`) for what lies elsewhere.
        """
        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._refusals(principal):
            found = named(name, self.catalogue, ollama_dir or Path.home() / ".ollama" / "models")
            return self._take_in(principal, found, order, watch)

    def connect(self, principal: Principal, source: str, told: Told, gate: Gate) -> ModelVersion:
        """Record a model that stays inside a server, as a candidate: `ollama:NAME`, or `destination:PLACE:NAME` through the gate.

        Raises `InvalidInput` (`model.*`), `Conflict`, and what the server or the gate raise; each refusal is audited.
        """
        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._refusals(principal):
            prepared = connected(
                source, told, gate, person=principal.id, catalogue=self.catalogue, ollama_address=self._ollama_address
            )
            return self.record(principal, prepared)

    def _take_in(self, principal: Principal, incoming: Incoming, order: Order, watch: Watch | None) -> ModelVersion:
        check_order(order)
        content = self._store.content
        content.remove_abandoned()
        with self._database.read() as connection:
            signers = records.load_signers(connection)
        with content.draft() as directory:
            prepared = prepare(
                incoming, order, content, directory, signers=signers, catalogue=self.catalogue, memory_mb=box_mb(), watch=watch
            )
            return self.record(principal, prepared)

    def record(self, principal: Principal, prepared: Prepared) -> ModelVersion:
        """Store checked content and record its version. Raises `Conflict` (`model.already`), `InvalidInput` (`model.name`)."""
        version = prepared.version
        with self._database.read() as connection:
            known = records.load_versions(connection)
        for other in known:
            if (other.name, other.sha256, other.encrypted) == (version.name, version.sha256, version.encrypted) and (
                other.prompt == version.prompt or version.format == "served"
            ):
                raise Conflict(f"This model is here already, as {other.id}.", code="model.already", version=other.id)
            if other.name == version.name and other.kind != version.kind:
                raise InvalidInput(f"{version.name} is a {other.kind} model on this box; choose another name.", code="model.name")
        prepared.store()
        facts: Facts = {"sha256": version.sha256, "size_bytes": version.size_bytes, "format": version.format}
        facts |= {"encrypted": "yes"} if version.encrypted else {}
        facts |= {"signer": version.signer} if version.signer else {}
        facts |= {"made_from": version.made_from} if version.made_from else {}
        with self._database.write() as connection:
            stored = records.insert_version(connection, version)
            about = (ResourceRef("model", stored.id),)
            self._audit.append(connection, AuditEvent(EventName.MODEL_IMPORTED, principal, resources=about, facts=facts))
        for other in known:
            if other.sha256 == stored.sha256 != "":  # its content is whole again; elsewhere it has no digest
                self._failures.forget(other.id)
        return stored

    @contextmanager
    def _refusals(self, principal: Principal) -> Iterator[None]:
        """Record why an import was refused, then let the error go on."""
        try:
            yield
        except ApplianceError as error:
            with self._database.write() as connection:
                facts: Facts = {"reason": error.stable_code}
                self._audit.append(
                    connection, AuditEvent(EventName.MODEL_IMPORTED, principal, outcome=Outcome.FAILURE, facts=facts)
                )
            raise

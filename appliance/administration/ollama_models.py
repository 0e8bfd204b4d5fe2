"""The models inside the Ollama of this box: what there is, made, fetched and deleted there. Each change is one audited act.

What stands there answers nobody: `ModelImporting.connect` makes a version of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.egress.windows import MaintenanceWindow
from appliance.errors import ApplianceError, Denied
from appliance.identity.models import Principal
from appliance.inference.store.modelfiles import read_modelfile
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database

if TYPE_CHECKING:
    from appliance.inference.ollama.client import LocalClient
    from appliance.inference.ollama.models import Progress, ServedDetails, ServedModel

Watch = Callable[[str, int, int], None]
"""Told of long work: the step, bytes done, bytes in all (0 where a step has none)."""


class OllamaModels:
    """Speaks to the Ollama that the box starts, else to that of this machine: from a shell, which is outside the seal."""

    def __init__(
        self,
        database: Database,
        access: Access,
        audit: AuditLog,
        *,
        address: str,
        windows: Callable[[], Sequence[MaintenanceWindow]],
    ) -> None:
        """`address` is empty for that of this machine; `windows` are those in which models may be fetched."""
        self._database, self._access, self._audit = database, access, audit
        self._address, self._windows = address, windows

    def list(self, principal: Principal) -> list[ServedModel]:
        """By name; those that compute elsewhere are not among them. Raises `Denied`, `Unavailable`."""
        from appliance.inference.ollama.models import list_models

        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        with self._client() as client:
            found = list_models(client)
        self._record(principal, EventName.MODEL_LISTED, facts={"server": "ollama", "versions": len(found)})
        return found

    def show(self, principal: Principal, name: str) -> ServedDetails:
        """Raises `Denied` for one that computes elsewhere, `Unavailable` (`inference.no_model`)."""
        from appliance.inference.ollama.models import describe_model

        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        with self._client() as client:
            found = describe_model(client, name)
        self._record(principal, EventName.MODEL_LISTED, name, {"server": "ollama"})
        return found

    def create(self, principal: Principal, name: str, modelfile: Path, watch: Watch) -> None:
        """Make a model there of a Modelfile, with files beside it. Raises `InvalidInput` (`modelfile.*`), `Denied`."""
        from appliance.inference.ollama.models import create_model

        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._audited(principal, EventName.MODEL_IMPORTED, name), self._client() as client:
            _follow(create_model(client, name, read_modelfile(modelfile), modelfile.parent), watch)

    def pull(self, principal: Principal, name: str, watch: Watch) -> None:
        """Let it fetch a model from outside. Raises `Denied` (`inference.no_maintenance`, `inference.sealed`), `Unavailable`."""
        from appliance.inference.ollama.models import pull_model

        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._audited(principal, EventName.MODEL_IMPORTED, name):
            if self._address:
                raise Denied(
                    "The Ollama that this box starts has no network: bring the file, and use `cloister models ollama create`.",
                    code="inference.sealed",
                )
            with self._client() as client:
                _follow(pull_model(client, name, self._windows()), watch)

    def delete(self, principal: Principal, name: str) -> None:
        """Raises `Unavailable` (`inference.no_model`)."""
        from appliance.inference.ollama.models import delete_model

        self._access.require(principal, Action.MODEL_DELETE, APPLIANCE)
        with self._audited(principal, EventName.MODEL_DELETED, name), self._client() as client:
            delete_model(client, name)

    @contextmanager
    def _client(self) -> Iterator[LocalClient]:
        from appliance.inference.ollama import open_client

        client = open_client(self._address)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def _audited(self, principal: Principal, event: EventName, name: str) -> Iterator[None]:
        try:
            yield
        except ApplianceError as error:
            self._record(principal, event, name, {"server": "ollama", "reason": error.stable_code}, Outcome.FAILURE)
            raise
        self._record(principal, event, name, {"server": "ollama"})

    def _record(
        self,
        principal: Principal,
        event: EventName,
        name: str = "",
        facts: dict[str, str | int] | None = None,
        outcome: Outcome = Outcome.SUCCESS,
    ) -> None:
        about = (ResourceRef("served_model", name[:200]),) if name else ()
        with self._database.write() as connection:
            written = AuditEvent(event, principal, resources=about, outcome=outcome, facts=facts or {})
            self._audit.append(connection, written)


def _follow(steps: Iterator[Progress], watch: Watch) -> None:
    for step in steps:
        watch(step.step, step.done_bytes, step.total_bytes)

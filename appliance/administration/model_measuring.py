"""Measuring models on this machine, and comparing them with their digests."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import ApplianceError, Conflict, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.inference.cores import available_cores
from appliance.inference.preparation_steps import run_step_aside
from appliance.inference.store import ModelStore, records
from appliance.inference.store.versions import ModelVersion
from appliance.inference.variants import RUNTIMES
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database
from appliance.storage.digests import Watch

Progress = Callable[[str], None]

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of reading one version: `problem` is a sentence where it is not what was imported."""

    version: ModelVersion
    problem: str | None = None
    code: str | None = None


class ModelMeasuring:
    """Speed, memory and answers of versions, measured here and stored with them."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, store: ModelStore, lock: Path) -> None:
        """`lock` is a file that only one of those who measure holds."""
        self._lock = lock
        self._database = database
        self._access = access
        self._audit = audit
        self._store = store

    def verify(self, principal: Principal, version_id: str | None = None, *, watch: Watch | None = None) -> tuple[Verified, ...]:
        """Read the content of one version, or of all, and compare it with its digest. Raises `NotFound`, `Denied`."""
        self._access.require(principal, Action.MODEL_MEASURE, APPLIANCE)
        versions = [item for item in self._store.versions() if item.format != "served" and version_id in {None, item.id}]
        if version_id is not None and not versions:
            raise NotFound(f"There is no model version {version_id}.", code="model.unknown")
        results = tuple(self._verified(version, watch) for version in versions)
        failed = sum(result.problem is not None for result in results)
        about = tuple(ResourceRef("model", version.id) for version in versions)
        outcome = Outcome.FAILURE if failed else Outcome.SUCCESS
        with self._database.write() as connection:
            facts = {"versions": len(versions), "failed": failed}
            event = AuditEvent(EventName.MODEL_VERIFIED, principal, resources=about, outcome=outcome, facts=facts)
            self._audit.append(connection, event)
        return results

    def _verified(self, version: ModelVersion, watch: Watch | None) -> Verified:
        try:
            self._store.content.open(version, watch).close()
        except ApplianceError as error:
            return Verified(version, error.sentence, error.stable_code)
        return Verified(version)

    def bench(self, principal: Principal, version_id: str, progress: Progress) -> ModelVersion:
        """Measure one version as it is. Raises `InvalidInput` (`model.not_measurable`), `SetupError` where it does not run."""
        self._access.require(principal, Action.MODEL_MEASURE, APPLIANCE)
        version = self.measurable(version_id)
        with self.alone(), closing(self._store.content.open(version)) as content:
            progress(f"Measuring {version.id}")
            path, runtime = content.path, RUNTIMES[version.format]
            measured = run_step_aside("measure", runtime, path, available_cores(), _ROUNDS)
            progress("Asking the questions whose answers are known")
            measured |= run_step_aside("quality", runtime, path, available_cores(), 0)
        return self.record(principal, version.id, measured)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One measurement on a box at a time: two would measure each other. Raises `Conflict` (`model.measuring`)."""
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel ends it with this process
            except BlockingIOError as error:
                raise Conflict(
                    "Models are being measured on this box already; wait until that has ended.", code="model.measuring"
                ) from error
            yield

    def measurable(self, version_id: str) -> ModelVersion:
        """The version. Raises `NotFound`, `InvalidInput` (`model.not_measurable`)."""
        with self._database.read() as connection:
            version = records.load_version(connection, version_id)
        if version.kind != "language" or version.format not in RUNTIMES:
            raise InvalidInput("Only language models with files on this box can be measured here.", code="model.not_measurable")
        if version.encrypted:
            raise InvalidInput(
                "An encrypted model is not measured: it would have to lie decrypted where other programs can open it. "
                "Measure it before it is encrypted.",
                code="model.not_measurable",
            )
        return version

    def record(
        self,
        principal: Principal,
        version_id: str,
        measured: Mapping[str, float],
        rows: tuple[dict[str, Any], ...] | None = None,
    ) -> ModelVersion:
        """Store figures with a version, and the table they stand in."""
        facts = {name: str(value) for name, value in measured.items()}
        with self._database.write() as connection:
            version = records.load_version(connection, version_id)
            records.set_measured(connection, version, measured, rows)
            about = (ResourceRef("model", version.id),)
            self._audit.append(connection, AuditEvent(EventName.MODEL_MEASURED, principal, resources=about, facts=facts))
            return records.load_version(connection, version.id)

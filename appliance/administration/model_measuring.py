"""Measuring models on this machine, comparing them with their digests, and making the variants that suit it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance.administration.models import ModelAdministration
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import ApplianceError, InvalidInput, NotFound
from appliance.identity.models import Principal
from appliance.inference.cores import available_cores
from appliance.inference.preparation_steps import run_step
from appliance.inference.store import ModelStore, records
from appliance.inference.store.importing import Prepared
from appliance.inference.store.incoming import facts_of, free_room
from appliance.inference.store.memory import needed_mb
from appliance.inference.store.versions import ModelVersion, VersionState
from appliance.inference.variants import Trial, ask, choose, conversions_of, try_formats
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database
from appliance.storage.digests import Watch, digest_of

Progress = Callable[[str], None]

_RUNTIMES = {"gguf": "llamacpp", "genai": "genai"}
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of reading one version: `problem` is a sentence where it is not what was imported."""

    version: ModelVersion
    problem: str | None = None
    code: str | None = None


class ModelMeasuring:
    """Speed, memory and answers of versions, measured here and stored with them."""

    def __init__(
        self, database: Database, access: Access, audit: AuditLog, store: ModelStore, models: ModelAdministration
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._store = store
        self._models = models

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
        version = self._measurable(version_id)
        with closing(self._store.content.open(version)) as content:
            progress(f"Measuring {version.id}")
            path, runtime = content.path, _RUNTIMES[version.format]
            step = ("measure",) if version.format == "gguf" else ("measure_runtime", runtime)
            measured = run_step(*step, path, available_cores(), _ROUNDS)
            progress("Asking the questions whose answers are known")
            measured |= run_step("quality", runtime, path, available_cores(), 0)
        measured.pop("context_tokens", None)
        return self._store_measured(principal, version, measured)

    def optimize(self, principal: Principal, version_id: str, progress: Progress, *, activate: bool = False) -> ModelVersion:
        """Make the formats this machine may run faster, measure them all, and keep the best as a candidate of the same name.

        The best is the fastest that answers the fixed questions as well as its source, but for `quality.MARGIN`. Where that is
        the source itself nothing is added. The table of what was measured is stored with the version that is returned.
        """
        self._access.require(principal, Action.MODEL_MEASURE, APPLIANCE)
        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        if activate:
            self._access.require(principal, Action.MODEL_ACTIVATE, APPLIANCE)
        version = self._measurable(version_id)
        if version.format != "gguf":
            raise InvalidInput("Only GGUF files can be converted here.", code="model.not_convertible")
        with closing(self._store.content.open(version)) as content, self._store.content.draft() as scratch:
            conversions = conversions_of(version.quantisation)
            free_room(scratch, 2 * len(conversions) * version.size_bytes)
            shipped = version.quantisation
            trials = try_formats(content.path, shipped, conversions, scratch=scratch, progress=progress, step=run_step)
            for trial in trials:
                ask(trial, None, progress, run_step)
            best = choose(trials, shipped, None, progress, run_step)
            rows = tuple(trial.row() for trial in trials)
            progress(f"{best.format} is the best on this machine")
            kept = self._kept(principal, version, best, rows)
        return self._models.activate(principal, kept.id) if activate and kept.state is not VersionState.ACTIVE else kept

    def _kept(self, principal: Principal, version: ModelVersion, best: Trial, rows: tuple[dict[str, Any], ...]) -> ModelVersion:
        measured = {name: value for name, value in best.measured.items() if name != "context_tokens"}
        if best.format == version.quantisation:
            return self._store_measured(principal, version, measured, rows)
        sha256 = digest_of(best.path)
        for known in self._store.versions():  # made before, by an earlier optimize or by the box itself
            if (known.name, known.sha256, known.encrypted, known.prompt) == (version.name, sha256, False, version.prompt):
                return self._store_measured(principal, known, measured, rows)
        made = _variant(version, best.path, sha256, measured, rows)
        return self._models.record(principal, Prepared(made, lambda: self._settle(best.path, sha256)))

    def _settle(self, path: Path, sha256: str) -> None:
        self._store.content.settle_file(path, sha256)

    def _measurable(self, version_id: str) -> ModelVersion:
        with self._database.read() as connection:
            version = records.load_version(connection, version_id)
        if version.kind != "language" or version.format not in _RUNTIMES:
            raise InvalidInput("Only language models with files on this box can be measured here.", code="model.not_measurable")
        if version.encrypted:
            raise InvalidInput(
                "An encrypted model is not measured: it would have to lie decrypted where other programs can open it. "
                "Measure it before it is encrypted.",
                code="model.not_measurable",
            )
        return version

    def _store_measured(
        self,
        principal: Principal,
        version: ModelVersion,
        measured: dict[str, float],
        rows: tuple[dict[str, Any], ...] | None = None,
    ) -> ModelVersion:
        facts = {name: str(value) for name, value in measured.items()}
        with self._database.write() as connection:
            records.set_measured(connection, version, measured, rows)
            about = (ResourceRef("model", version.id),)
            self._audit.append(connection, AuditEvent(EventName.MODEL_MEASURED, principal, resources=about, facts=facts))
            return records.load_version(connection, version.id)


def _variant(
    version: ModelVersion, path: Path, sha256: str, measured: dict[str, float], rows: tuple[dict[str, Any], ...]
) -> ModelVersion:
    facts, size = facts_of(path), path.stat().st_size
    return replace(
        version,
        quantisation=facts.quantisation,
        memory_mb=needed_mb(facts, size),
        sha256=sha256,
        size_bytes=size,
        state=VersionState.CANDIDATE,
        made_from=version.id,
        signer=None,
        measured=measured,
        trials=rows,
        canary_percent=None,
        canary_group=None,
        replaced=None,
    )

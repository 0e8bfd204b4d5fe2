"""Making the forms of a model that this machine may run faster, measuring them all, and keeping the one that wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from appliance.administration.model_conversion import folder_version
from appliance.administration.model_importing import ModelImporting
from appliance.administration.model_measuring import ModelMeasuring
from appliance.administration.models import ModelAdministration
from appliance.errors import ApplianceError, InvalidInput
from appliance.identity.models import Principal
from appliance.inference.preparation_steps import run_step_aside
from appliance.inference.quantisations import ONE_BIT, Source, plan
from appliance.inference.registry import runtime_specs
from appliance.inference.store import ModelStore
from appliance.inference.store.importing import Prepared
from appliance.inference.store.incoming import facts_of, free_room
from appliance.inference.store.memory import box_mb, needed_mb
from appliance.inference.store.modelfiles import check_usable, modelfile_of
from appliance.inference.store.versions import Facts, ModelVersion, VersionState
from appliance.inference.variants import GENAI, RUNTIMES, Contest, Trial, left_out, rows
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.digests import digest_of

Progress = Callable[[str], None]

_FOLDER = "folder"
_FOLDER_DISK = 2.2
"""A folder's graph is as large as the weights, and it is copied once more when it is kept."""


class ModelOptimizing:
    """One at a time on a box, at a low priority; what a killed one leaves goes when the next begins, or the box starts."""

    def __init__(
        self,
        access: Access,
        store: ModelStore,
        measuring: ModelMeasuring,
        importing: ModelImporting,
        administration: ModelAdministration,
        *,
        headroom_mb: int,
        questions: int | None = None,
    ) -> None:
        """`headroom_mb` is what a model must leave of the box's memory, `questions` how many of the fixed ones are asked."""
        self._access = access
        self._store = store
        self._measuring = measuring
        self._importing = importing
        self._administration = administration
        self._headroom_mb = headroom_mb
        self._questions = questions

    def optimize(self, principal: Principal, version_id: str, progress: Progress, *, activate: bool = False) -> ModelVersion:
        """Of a GGUF version its other formats and its folder, of any version those of its name that are stored: the best is kept.

        It is kept as a candidate of the same name, with the table of all that was tried; where it is the version itself, or
        another that is stored, nothing is added. Raises `InvalidInput` (`model.not_measurable`, `model.nothing_to_compare`,
        `model.too_large` where nothing fits), `Conflict` (`model.measuring`), `Unavailable` (`disk.full`), `SetupError` where
        the version does not run here and nothing made of it does.
        """
        for action in (Action.MODEL_MEASURE, Action.MODEL_IMPORT, *((Action.MODEL_ACTIVATE,) if activate else ())):
            self._access.require(principal, action, APPLIANCE)
        version = self._measuring.measurable(version_id)
        content = self._store.content
        with self._measuring.alone(), ExitStack() as opened:
            content.remove_abandoned()
            path = opened.enter_context(closing(content.open(version))).path
            scratch = opened.enter_context(content.draft())
            trials = [Trial(version.quantisation, RUNTIMES[version.format], path, version=version.id)]
            trials += self._stored(version, opened, progress)
            if version.format == "gguf":
                trials += self._made(
                    version, path, scratch, folders=not any(trial.runtime == GENAI and trial.verdict is None for trial in trials)
                )
            if len(trials) == 1:
                raise InvalidInput(
                    f"A folder is not converted, and there is no other form of {version.name} here to compare it with.",
                    code="model.nothing_to_compare",
                )
            contest = Contest(trials, self._room_mb, run_step_aside, progress, self._questions)
            contest.time()
            for trial in contest.running:
                contest.ask(trial)
            contest.keep_company()
            best = contest.winner()
            if best is None:
                raise InvalidInput(f"No form of {version.name} can be kept. {trials[0].reason}", code="model.too_large")
            progress(f"{best.label} is the best on this machine")
            kept = self._kept(principal, version, best, rows(trials))
        return self._administration.activate(principal, kept.id) if activate and kept.state is not VersionState.ACTIVE else kept

    @property
    def _room_mb(self) -> int:
        return max(0, box_mb() - self._headroom_mb)

    def _stored(self, version: ModelVersion, opened: ExitStack, progress: Progress) -> Iterator[Trial]:
        """What is here of this name in the other format, as it is."""
        for other in self._store.versions():
            if (other.name, other.kind) != (version.name, version.kind) or other.format not in {*RUNTIMES} - {version.format}:
                continue
            runtime = RUNTIMES[other.format]
            if refusal := _not_comparable(other, version):
                yield left_out(other.quantisation, refusal, runtime)
                continue
            progress(f"Reading {other.id}")
            try:
                path = opened.enter_context(closing(self._store.content.open(other))).path
            except ApplianceError as error:
                yield left_out(other.quantisation, error.sentence, runtime)
                continue
            yield Trial(other.quantisation, runtime, path, version=other.id)

    def _made(self, version: ModelVersion, path: Path, scratch: Path, *, folders: bool) -> Iterator[Trial]:
        """Its other formats, and its folder where none is stored that takes part (`folders`)."""
        facts, entry = facts_of(path), self._importing.catalogue.entry(version.name)
        one_bit = entry is not None and ONE_BIT.name in entry.quantisations
        source = Source(version.quantisation, version.size_bytes, version.parameters_m, trained_one_bit=one_bit)
        wanted = plan(source, lambda size: needed_mb(facts, size), self._room_mb)
        refusal = _folder_refused(version, facts) if folders else ""
        folder_bytes = 0 if refusal or not folders else int(_FOLDER_DISK * version.size_bytes)
        free_room(scratch, sum(map(source.size_as, wanted.make)) + folder_bytes)
        for item in wanted.make:
            target = scratch / f"{item.name}.gguf"
            yield Trial(item.name, path=target, make=partial(_requantise, path, target, item.number))
        for name, reason in wanted.left_out.items():
            yield left_out(name, reason)
        if not folders:
            return
        if refusal:
            yield left_out(_FOLDER, refusal, GENAI)
        else:
            yield _folder(path, scratch / version.name)

    def _kept(self, principal: Principal, version: ModelVersion, best: Trial, table: tuple[dict[str, Any], ...]) -> ModelVersion:
        measured, content = best.measured, self._store.content
        if best.version:
            return self._measuring.record(principal, best.version, measured, table)
        with content.draft() as directory:
            if best.runtime == GENAI:
                prepared = folder_version(version, best.path, content, directory, self._importing.catalogue)
            else:
                sha256 = digest_of(best.path)
                made = _variant(version, best.path, sha256)
                prepared = Prepared(made, partial(_settle, self._store, best.path, sha256))
            for known in self._store.versions():  # made before, by an earlier optimize or by the box itself
                if _same(known, prepared.version):
                    return self._measuring.record(principal, known.id, measured, table)
            made = replace(prepared.version, measured=measured, trials=table)
            return self._importing.record(principal, Prepared(made, prepared.store))


def _settle(store: ModelStore, path: Path, sha256: str) -> None:
    store.content.settle_file(path, sha256)


def _same(known: ModelVersion, made: ModelVersion) -> bool:
    return (known.name, known.sha256, known.encrypted, known.prompt) == (made.name, made.sha256, False, made.prompt)


def _requantise(source: Path, target: Path, number: int) -> None:
    run_step_aside("requantise", source, target, number)
    facts_of(target)  # refuses what a full disk cut off


def _not_comparable(other: ModelVersion, version: ModelVersion) -> str:
    """Why a stored version takes no part; empty where it does."""
    if other.encrypted:
        return f"{other.id} is encrypted, and would have to lie open to be measured."
    return "" if other.prompt == version.prompt else f"{other.id} has another Modelfile."


def _folder_refused(version: ModelVersion, facts: Facts) -> str:
    """Why no folder is made of a GGUF version; empty where one may be."""
    availability = runtime_specs()[GENAI].probe()
    if not availability.usable:
        return availability.reason
    if version.adapters:
        return "A folder takes no adapters."
    try:
        if modelfile := modelfile_of(version.prompt):
            check_usable(modelfile, replace(facts, format="genai"))
    except InvalidInput as error:
        return error.sentence
    return ""


def _folder(source: Path, target: Path) -> Trial:
    """Its format is known once it is made: that of its source's weights."""
    trial = Trial(_FOLDER, GENAI, target)

    def make() -> None:
        run_step_aside("write_folder", source, target)
        trial.format = facts_of(target).quantisation

    trial.make = make
    return trial


def _variant(version: ModelVersion, path: Path, sha256: str) -> ModelVersion:
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
        canary_percent=None,
        canary_group=None,
        replaced=None,
    )

"""Versions of models, as administrators see and change them."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.inference.store.versions import ModelVersion
from appliance.retrieval.index_progress import IndexProgress


class ModelVersionOut(msgspec.Struct):
    """`measured` and `trials`: what was found on this machine, the unit in each name; `replaced`: where a rollback leads.

    `unloadable` is why it is not loaded, or could not be the last time; empty where nothing is known against it.
    """

    id: str
    kind: str
    name: str
    format: str
    quantisation: str
    architecture: str
    size_class: str
    parameters_m: float
    context_tokens: int
    memory_mb: int
    licence: str
    sha256: str
    size_bytes: int
    source: str
    state: str
    encrypted: bool
    signer: str | None
    made_from: str | None
    canary_percent: int | None
    canary_group: str | None
    replaced: str | None
    measured: dict[str, float]
    trials: list[dict[str, Any]]
    unloadable: str
    vectors: str

    @classmethod
    def of(cls, version: ModelVersion, unloadable: str = "") -> ModelVersionOut:
        return cls(
            id=version.id,
            kind=version.kind,
            name=version.name,
            format=version.format,
            quantisation=version.quantisation,
            architecture=version.architecture,
            size_class=version.size_class.value,
            parameters_m=version.parameters_m,
            context_tokens=version.context_tokens,
            memory_mb=version.memory_mb,
            licence=version.licence,
            sha256=version.sha256,
            size_bytes=version.size_bytes,
            source=version.source,
            state=version.state.value,
            encrypted=version.encrypted,
            signer=version.signer,
            made_from=version.made_from,
            canary_percent=version.canary_percent,
            canary_group=version.canary_group,
            replaced=version.replaced,
            measured=dict(version.measured),
            trials=[dict(trial) for trial in version.trials],
            unloadable=unloadable,
            vectors=version.form.sentence if version.form else "",
        )


class IndexOut(msgspec.Struct):
    """The index of one embedding model: its digest and dimension, and how much of what can be searched it holds.

    `against` says why it does not take over although it holds everything.
    """

    number: int
    model_id: str
    sha256: str
    dimensions: int
    state: str
    complete: bool
    documents: int
    documents_done: int
    passages: int
    passages_done: int
    passages_per_s: float
    percent: int
    sentence: str
    against: str

    @classmethod
    def of(cls, index: IndexProgress) -> IndexOut:
        return cls(
            number=index.number,
            model_id=index.model_id,
            sha256=index.sha256,
            dimensions=index.dimensions,
            state=index.state.value,
            complete=index.complete,
            documents=index.documents,
            documents_done=index.documents_done,
            passages=index.passages,
            passages_done=index.passages_done,
            passages_per_s=index.passages_per_s,
            percent=index.percent,
            sentence=index.sentence,
            against=index.against,
        )


class CanaryOrder(msgspec.Struct, forbid_unknown_fields=True):
    """One of the two: a share of the conversations in percent, or the id of a group. The reason overrides golden sets."""

    percent: int | None = None
    group: str | None = None
    reason: str = ""

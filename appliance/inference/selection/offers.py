"""What this box offers: each version of a language model through each runtime that takes its format."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from appliance.inference.load_failures import Attempt, LoadFailure
from appliance.inference.load_marks import Load, load_crashed
from appliance.inference.registry import Availability, RuntimeSpec
from appliance.inference.selection.models import Offer
from appliance.inference.store.versions import ModelVersion

_SERVED_BY = {"ollama": "ollama", "destination": "openai_http"}
"""By the kind of its source, the one runtime that reaches a model inside a server: "ollama:NAME", "destination:PLACE:NAME"."""


def offers_of(
    versions: Iterable[ModelVersion],
    specs: Mapping[str, RuntimeSpec],
    context_tokens: int,
    crashed: Collection[Load] = frozenset(),
    failed: Mapping[Attempt, LoadFailure] = MappingProxyType({}),
) -> list[Offer]:
    """An offer for each pair that fits together, those included that cannot run here: why is part of the answer.

    `crashed` is what ended its process too often while it was loaded, `failed` what could not be loaded and is not tried again
    yet.
    """
    available = {name: spec.probe() for name, spec in specs.items()}
    return [
        Offer(
            runtime=name,
            model_id=version.id,
            name=version.name,
            kind=version.kind,
            size_class=version.size_class,
            memory_mb=version.memory_mb,
            context_tokens=min(version.context_tokens, context_tokens),
            state=version.state,
            canary_percent=version.canary_percent or 0,
            canary_group=version.canary_group or "",
            libraries=available[name].libraries,
            destination=_destination(version),
            unusable=_unusable(version, spec, available[name]),
            crashed=load_crashed(version.id) if Load(version.sha256, name) in crashed else "",
            failed=failed.get((version.id, name)),
        )
        for version in versions
        for name, spec in specs.items()
        if version.kind == "language" and version.format in spec.formats and _reaches(name, version)
    ]


def supposed(offers: Iterable[Offer], version_id: str = "") -> list[Offer]:
    """The offers as they would be with this version active in the place of its name's present one, and nobody on trial."""
    given = list(offers)
    name = next((offer.name for offer in given if offer.model_id == version_id), None)
    return [
        replace(offer, state="active")
        if offer.model_id == version_id
        else replace(offer, state="retired")
        if offer.state == "canary" or (offer.state == "active" and offer.name == name)
        else offer
        for offer in given
    ]


def _unusable(version: ModelVersion, spec: RuntimeSpec, available: Availability) -> str:
    """Why this box cannot use the runtime, or this version in it; empty where it can."""
    if not available.usable:
        return available.reason or f"{spec.title} cannot run on this box."
    return f"{spec.title} cannot read a model that is encrypted at rest." if version.encrypted and not spec.reads_memory else ""


def _reaches(runtime: str, version: ModelVersion) -> bool:
    """A model inside a server is offered by the runtime of that server alone; where nobody says which, it is not offered."""
    return version.format != "served" or _SERVED_BY.get(version.source.partition(":")[0]) == runtime


def _destination(version: ModelVersion) -> str:
    """Where the prompt would go, for the policy to decide; empty is this box."""
    kind, _, rest = version.source.partition(":")
    return rest.partition(":")[0] if version.format == "served" and kind == "destination" else ""

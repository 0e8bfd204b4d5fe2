"""Entries of the catalogue, as administrators see them."""

from __future__ import annotations

import msgspec

from appliance.inference.known_models import KnownModel


class NeedOut(msgspec.Struct):
    """Megabytes for one quantisation; `fits_on` names the devices of this box with room for it."""

    quantisation: str
    memory_mb: int
    fits_on: list[str]


class SupplyOut(msgspec.Struct):
    """One way in; `kind` is package, ollama, file, folder or server, `command` empty where there is none to type."""

    kind: str
    sentence: str
    command: str
    runtimes: list[str]


class RunnerOut(msgspec.Struct):
    """A runtime that could run it; `reason` says why not at present."""

    name: str
    title: str
    usable: bool
    reason: str


class KnownModelOut(msgspec.Struct):
    """`versions` maps what is installed of it to its state; `unusable` is empty unless nothing here can use it."""

    name: str
    title: str
    kind: str
    size_class: str
    parameters_m: float
    context_tokens: int
    template: str
    licence: str
    note: str
    unusable: str
    fits: bool
    memory: list[NeedOut]
    sources: list[SupplyOut]
    runtimes: list[RunnerOut]
    versions: dict[str, str]

    @classmethod
    def of(cls, model: KnownModel) -> KnownModelOut:
        return msgspec.convert(model.as_document(), cls)

"""A version of a model as the store knows it: what it is, where it came from, what state it is in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from appliance.inference.models import Model
from appliance.inference.store.embedding_form import EmbeddingForm, recorded_form

Kind = Literal["language", "embedding"]
Format = Literal["gguf", "genai", "onnx", "served"]

_FORMAT_TITLES = {"gguf": "GGUF", "genai": "ONNX GenAI", "onnx": "ONNX", "served": "served"}


class VersionState(StrEnum):
    """Of one name at most one version is active and at most one a canary."""

    CANDIDATE = "candidate"  # imported, answers nobody
    CANARY = "canary"  # answers a share of the conversations, or one group
    ACTIVE = "active"
    RETIRED = "retired"  # answered once, kept to go back to


class SizeClass(StrEnum):
    """How much a model can be trusted with, by its number of parameters; routing rules speak of these."""

    MICRO = "micro"  # 100 million to 1.4 billion
    SMALL = "small"  # 1.5 to 13.9 billion
    MEDIUM = "medium"  # 14 to 30 billion


def size_class(parameters_m: float) -> SizeClass:
    """The class of a model with so many million parameters; what lies outside of the three falls into the nearest."""
    if parameters_m < 1_450:
        return SizeClass.MICRO
    return SizeClass.SMALL if parameters_m < 13_950 else SizeClass.MEDIUM


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a model that is a folder."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """A LoRA file that a version is loaded with, and how strongly it applies."""

    sha256: str
    size_bytes: int
    scale: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model says of itself, read from its own bytes."""

    format: Format
    kind: Kind
    title: str  # its own name, may be empty
    architecture: str
    quantisation: str
    parameters_m: float  # millions
    context_tokens: int
    kv_bytes_per_token: int
    vocabulary: int
    chat_template: bool
    licence: str
    form: EmbeddingForm | None = None  # of an embedding model, where its file says


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable file (or folder) under a name and a number; only its state and its figures change."""

    id: str  # "name@number"
    kind: Kind
    name: str
    number: int
    format: Format
    quantisation: str
    architecture: str
    parameters_m: float
    size_class: SizeClass
    context_tokens: int
    memory_mb: int  # megabytes of 1,000,000 bytes: weights, a context of `memory.CONTEXT_TOKENS`, working memory
    licence: str
    sha256: str
    size_bytes: int
    source: str
    state: VersionState
    files: tuple[StoredFile, ...] = ()
    encrypted: bool = False
    prompt: Mapping[str, Any] = field(default_factory=dict)
    made_from: str | None = None
    signer: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    trials: tuple[Mapping[str, Any], ...] = ()
    canary_percent: int | None = None
    canary_group: str | None = None
    replaced: str | None = None
    imported_ms: int = 0
    changed_ms: int = 0

    @property
    def file(self) -> str:
        """Where its content lies below the store's directory, unless it is encrypted."""
        return f"folders/{self.sha256}" if self.files else f"files/{self.sha256[:2]}/{self.sha256}"

    @property
    def sealed(self) -> tuple[str, ...]:
        """Digests of what is stored encrypted of it: its file, or those of its folder."""
        return tuple(file.sha256 for file in self.files) or (self.sha256,) if self.encrypted else ()

    @property
    def adapters(self) -> tuple[StoredAdapter, ...]:
        """What its Modelfile adds to the weights."""
        return tuple(StoredAdapter(**adapter) for adapter in self.prompt.get("adapters", ()))

    @property
    def form(self) -> EmbeddingForm | None:
        """How an embedding model makes vectors, where that was recorded."""
        return recorded_form(self.prompt)

    @property
    def vectors_sha256(self) -> str:
        """What its vectors are known by: other words before the texts make other vectors of the same file."""
        form = self.form
        if form is None or not (form.question_prefix or form.passage_prefix):
            return self.sha256
        told = json.dumps([self.sha256, form.question_prefix, form.passage_prefix], separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()

    def as_model(self) -> Model:
        """As runtimes and pages see it."""
        return Model(
            id=self.id,
            kind=self.kind,
            file=self.file,
            sha256=self.sha256,
            size_bytes=self.size_bytes,
            format=f"{_FORMAT_TITLES[self.format]} {self.quantisation}".strip(),
            context_tokens=self.context_tokens,
            licence=self.licence,
            active=self.state is VersionState.ACTIVE,
            measured=dict(self.measured),
            source=self.source,
        )


def version_id(name: str, number: int) -> str:
    return f"{name}@{number}"

"""The catalogue `policies/models.toml`: models that are known to work, where they come from, what they need."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from appliance.errors import SetupError
from appliance.inference.quantisations import BITS_PER_WEIGHT
from appliance.inference.registry import BUILT_IN
from appliance.inference.store.embedding_form import LONGEST_PREFIX
from appliance.inference.store.memory import CONTEXT_TOKENS, kv_bytes_per_token, working_mb
from appliance.inference.store.versions import Kind, SizeClass, size_class

FILE = "models.toml"

EMBEDDER = "embedder"
"""Stands for a runtime where the source of an embedding model is named: the embedder of the box is built in."""

_SOURCE_KINDS: Mapping[str, frozenset[str]] = {
    "language": frozenset({"package", "ollama", "gguf", "genai", "alias", "served"}),
    "embedding": frozenset({"package", "onnx", "gguf", "ollama"}),
}
"""What the box can use of each kind of model: a source that nothing here can run is no source."""
_RUNTIMES: Mapping[str, frozenset[str]] = {"language": BUILT_IN, "embedding": frozenset({EMBEDDER, "llamacpp", "ollama"})}
_KEYS = frozenset(
    {"title", "kind", "parameters_m", "context_tokens", "layers", "kv_heads", "head_length", "vocabulary", "template", "licence",
     "quantisations", "source", "note", "unusable", "question_prefix", "passage_prefix"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Where a runtime finds the model: `kind` says what `value` is."""

    runtime: str
    kind: str
    """ "package" (distribution:path), "ollama", "served", "alias" (name there), "gguf", "genai", "onnx" (publisher/name)."""
    value: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue."""

    name: str
    title: str
    kind: Kind
    parameters_m: float
    context_tokens: int
    layers: int
    kv_heads: int
    head_length: int
    vocabulary: int
    template: str
    licence: str
    quantisations: tuple[str, ...]
    sources: tuple[Source, ...]
    note: str = ""
    unusable: str = ""
    """Why it cannot be brought in, where it has no source."""
    question_prefix: str = ""
    """What an embedding model was trained to read before questions, and before passages."""
    passage_prefix: str = ""

    @property
    def size_class(self) -> SizeClass:
        return size_class(self.parameters_m)

    def memory_mb(self, quantisation: str, context_tokens: int = CONTEXT_TOKENS) -> int:
        """Weights, the cache of one full context, working memory; megabytes of 1,000,000 bytes, as `needed_mb` of a file."""
        weights = self.parameters_m * 1e6 * BITS_PER_WEIGHT[quantisation] / 8
        per_token = kv_bytes_per_token(
            layers=self.layers, kv_heads=self.kv_heads, key_length=self.head_length, value_length=self.head_length
        )
        cache = per_token * min(context_tokens, self.context_tokens) if self.kind == "language" else 0
        return round((weights + cache) / 1e6 + working_mb(self.kind, self.vocabulary))


class Catalogue:
    """Read when it is first asked for something."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """By name. Raises `SetupError` (`setup.catalogue`) for anything that is missing, doubled or unknown."""
        try:
            document = tomllib.loads(self._path.read_text())
        except (OSError, ValueError) as error:
            raise SetupError(f"The catalogue {self._path} cannot be read: {error}.", code="setup.catalogue") from error
        if set(document) != {"model"} or not isinstance(document["model"], dict):
            raise _wrong("it must hold tables [model.<name>] and nothing else")
        return {name: _entry(name, table) for name, table in document["model"].items()}

    def entry(self, name: str) -> Entry | None:
        return self.entries.get(name)


def _entry(name: str, table: Any) -> Entry:
    if not isinstance(table, dict) or set(table) - _KEYS:
        raise _wrong(f"{name} has unknown entries: {', '.join(sorted(set(table) - _KEYS))}")
    for key in ("title", "kind", "template", "licence"):
        if not isinstance(table.get(key), str):
            raise _wrong(f"{name} has no {key}")
    for key in ("parameters_m", "context_tokens", "layers", "kv_heads", "head_length", "vocabulary"):
        if not isinstance(table.get(key), int | float) or table[key] <= 0:
            raise _wrong(f"{name} has no {key}")
    if table["kind"] not in _SOURCE_KINDS:
        raise _wrong(f"{name} is of the unknown kind {table['kind']}")
    quantisations = table.get("quantisations", [])
    if not quantisations or set(quantisations) - set(BITS_PER_WEIGHT):
        raise _wrong(f"{name} names an unknown quantisation, or none")
    sources, unusable = table.get("source", {}), str(table.get("unusable", ""))
    if not isinstance(sources, dict) or bool(sources) == bool(unusable):
        raise _wrong(f"{name} has no source, or is called unusable although it has one")
    return Entry(
        name=name,
        title=table["title"],
        kind=table["kind"],
        parameters_m=float(table["parameters_m"]),
        context_tokens=int(table["context_tokens"]),
        layers=int(table["layers"]),
        kv_heads=int(table["kv_heads"]),
        head_length=int(table["head_length"]),
        vocabulary=int(table["vocabulary"]),
        template=table["template"],
        licence=table["licence"],
        quantisations=tuple(quantisations),
        sources=tuple(_source(name, table["kind"], runtime, value) for runtime, value in sources.items()),
        note=str(table.get("note", "")),
        unusable=unusable,
        question_prefix=_prefix(name, table, "question_prefix"),
        passage_prefix=_prefix(name, table, "passage_prefix"),
    )


def _prefix(name: str, table: Any, key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or len(value) > LONGEST_PREFIX or (value and table["kind"] != "embedding"):
        raise _wrong(f"{name} has an unusable {key}")
    return value


def _source(name: str, model_kind: str, runtime: str, value: Any) -> Source:
    kind, _, rest = str(value).partition(":")
    if runtime not in _RUNTIMES[model_kind] or kind not in _SOURCE_KINDS[model_kind] or not rest:
        raise _wrong(f"{name} has the unknown source {runtime} = {value!r}")
    return Source(runtime, kind, rest)


def _wrong(what: str) -> SetupError:
    return SetupError(f"The catalogue of models is not valid: {what}.", code="setup.catalogue")

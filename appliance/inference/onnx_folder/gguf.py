"""Just enough of the GGUF format, version 3, to read a model's settings, vocabulary and weights.

The format is described in ggml's `docs/gguf.md`; the blocks of Q4_1 and Q8_0 are those of ggml's `ggml-common.h`.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.errors import InvalidInput

BLOCK = 32
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_BYTES_PER_BLOCK = {"F32": 4 * BLOCK, "Q4_1": 20, "Q8_0": 34}
_KINDS = {0: "F32", 3: "Q4_1", 8: "Q8_0"}


@dataclass(frozen=True, slots=True)
class Blocks:
    """A matrix in blocks of 32 along its rows: weight = level * scale + offset.

    `levels` are unsigned, of shape (rows, blocks, 32); `scales` and `offsets` of shape (rows, blocks).
    """

    bits: int
    levels: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]


class GgufFile:
    """An opened file. Raises `InvalidInput` (`model.not_convertible`) for what is no GGUF file or a truncated one."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
        self._place = 0
        try:
            self._read_header()
        except (struct.error, UnicodeDecodeError) as error:
            raise InvalidInput(f"The file {path.name} is truncated or damaged.", code="model.not_convertible") from error

    def _read_header(self) -> None:
        magic, version, tensors, settings = (self._scalar(form) for form in ("<4s", "<I", "<Q", "<Q"))
        if magic != b"GGUF" or version != 3:
            raise InvalidInput("This is no GGUF file of version 3.", code="model.not_convertible")
        self.settings: dict[str, Any] = {self._string(): self._value(self._scalar("<I")) for _ in range(settings)}
        self._tensors: dict[str, tuple[list[int], int, int]] = {}
        for _ in range(tensors):
            name = self._string()
            shape = [self._scalar("<Q") for _ in range(self._scalar("<I"))]
            self._tensors[name] = (shape, self._scalar("<I"), self._scalar("<Q"))
        alignment = self.settings.get("general.alignment", 32)
        self._body = -(-self._place // alignment) * alignment

    def vector(self, name: str) -> npt.NDArray[np.float32]:
        """A tensor stored in full precision."""
        raw = self._raw(name, "F32")
        return np.frombuffer(raw, np.float32)

    def matrix(self, name: str) -> Blocks:
        """A tensor stored in blocks of Q4_1 or Q8_0."""
        shape, kind, _ = self._tensor(name)
        raw = np.frombuffer(self._raw(name, "Q4_1", "Q8_0"), np.uint8).reshape(shape[1], shape[0] // BLOCK, -1)
        scales = _half(raw[..., :2])
        if _KINDS[kind] == "Q8_0":
            return Blocks(8, raw[..., 2:] ^ np.uint8(0x80), scales, -128 * scales)
        pairs = raw[..., 4:]
        return Blocks(4, np.concatenate([pairs & np.uint8(15), pairs >> np.uint8(4)], axis=-1), scales, _half(raw[..., 2:4]))

    def _tensor(self, name: str) -> tuple[list[int], int, int]:
        if name not in self._tensors:
            raise InvalidInput(f"The file has no weights named {name}.", code="model.not_convertible")
        return self._tensors[name]

    def _raw(self, name: str, *kinds: str) -> bytes:
        shape, kind, offset = self._tensor(name)
        if _KINDS.get(kind) not in kinds:
            raise InvalidInput(
                f"The weights {name} are stored in a way that is not read here (type {kind}).", code="model.not_convertible"
            )
        start = self._body + offset
        length = int(np.prod(shape)) * _BYTES_PER_BLOCK[_KINDS[kind]] // BLOCK
        raw = self._data[start : start + length]
        if len(raw) < length:
            raise InvalidInput("The file is truncated or damaged.", code="model.not_convertible")
        return raw

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._place)
        self._place += struct.calcsize(form)
        return value

    def _string(self) -> str:
        length = self._scalar("<Q")
        return str(self._scalar(f"<{length}s"), "utf-8")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._scalar("<I"), self._scalar("<Q")
            return [self._value(inner) for _ in range(count)]
        if kind not in _SCALARS:
            raise InvalidInput("This is no GGUF file of version 3.", code="model.not_convertible")
        return self._scalar(_SCALARS[kind])


def _half(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(raw).view(np.float16)[..., 0].astype(np.float32)

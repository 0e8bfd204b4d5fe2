"""Small GGUF files, written byte by byte. `from tests.unit.inference.gguf_samples import gguf, text`."""

from __future__ import annotations

import struct
from pathlib import Path

STRING, ARRAY, UINT32, INT32, FLOAT32, BOOL = 8, 9, 4, 5, 6, 7


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: object) -> bytes:
    if isinstance(value, bool):
        return text(key) + struct.pack("<I?", BOOL, value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", FLOAT32, value)
    if not isinstance(value, int | str | list):
        raise TypeError(value)
    if isinstance(value, list) and value and isinstance(value[0], int):
        return text(key) + struct.pack("<IIQ", ARRAY, INT32, len(value)) + struct.pack(f"<{len(value)}i", *value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", UINT32, value)
    if isinstance(value, str):
        return text(key) + struct.pack("<I", STRING) + text(value)
    items = b"".join(text(item) for item in value)
    return text(key) + struct.pack("<IIQ", ARRAY, STRING, len(value)) + items


def tensor(name: str, dimensions: tuple[int, ...], kind: int, offset: int) -> bytes:
    sizes = b"".join(struct.pack("<Q", size) for size in dimensions)
    return text(name) + struct.pack("<I", len(dimensions)) + sizes + struct.pack("<IQ", kind, offset)


METADATA = {
    "general.architecture": "llama",
    "general.type": "model",
    "general.basename": "tiny",
    "general.license": "apache-2.0",
    "general.file_type": 0,
    "llama.block_count": 2,
    "llama.context_length": 512,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.chat_template": "{{ messages }}",
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}


def gguf(
    metadata: dict[str, object] | None = None,
    *,
    tensors: tuple[bytes, ...] = (tensor("weights", (64, 32), 0, 0),),
    data_bytes: int = 64 * 32 * 4,
    magic: bytes = b"GGUF",
    version: int = 3,
    pair_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    pairs = [pair(key, value) for key, value in (METADATA if metadata is None else metadata).items()]
    head = magic + struct.pack(
        "<IQQ",
        version,
        len(tensors) if tensor_count is None else tensor_count,
        len(pairs) if pair_count is None else pair_count,
    )
    header = head + b"".join(pairs) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + bytes(data_bytes)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path

"""Write all-MiniLM-L6-v2 as a GGUF file (16-bit weights), so that llama.cpp's embedding can be measured on the same model."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import load_file

ALIGNMENT = 32
UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
INT32 = 5
F32, F16 = 0, 1
TENSORS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
EMBEDDINGS = {
    "word_embeddings": "token_embd",
    "token_type_embeddings": "token_types",
    "position_embeddings": "position_embd",
    "LayerNorm": "token_embd_norm",
}


def write_gguf(weights_path: Path, tokenizer_path: Path, target: Path) -> None:
    vocabulary = json.loads(tokenizer_path.read_text())["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    tensors = {_name(name): value for name, value in load_file(weights_path).items() if _name(name)}
    values: list[tuple[str, int, Any]] = [
        ("general.architecture", STRING, "bert"),
        ("general.name", STRING, "all-MiniLM-L6-v2"),
        ("general.file_type", UINT32, 1),
        ("bert.context_length", UINT32, 512),
        ("bert.embedding_length", UINT32, 384),
        ("bert.feed_forward_length", UINT32, 1536),
        ("bert.block_count", UINT32, 6),
        ("bert.attention.head_count", UINT32, 12),
        ("bert.attention.layer_norm_epsilon", FLOAT32, 1e-12),
        ("bert.attention.causal", BOOL, False),
        ("bert.pooling_type", UINT32, 1),
        ("tokenizer.ggml.model", STRING, "bert"),
        ("tokenizer.ggml.pre", STRING, "jina-v2-en"),
        ("tokenizer.ggml.tokens", ARRAY, [_word(word) for word in words]),
        ("tokenizer.ggml.token_type", ARRAY, [3 if word.startswith("[") and len(word) > 1 else 1 for word in words]),
        ("tokenizer.ggml.token_type_count", UINT32, 2),
        ("tokenizer.ggml.bos_token_id", UINT32, 101),
        ("tokenizer.ggml.cls_token_id", UINT32, 101),
        ("tokenizer.ggml.eos_token_id", UINT32, 102),
        ("tokenizer.ggml.seperator_token_id", UINT32, 102),
        ("tokenizer.ggml.padding_token_id", UINT32, 0),
        ("tokenizer.ggml.unknown_token_id", UINT32, 100),
    ]
    with target.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values)))
        for key, kind, value in values:
            _value(file, key, kind, value)
        _tensors(file, tensors)


def _name(name: str) -> str:
    *path, leaf = name.split(".")
    if path[:2] == ["encoder", "layer"]:
        return f"blk.{path[2]}.{TENSORS['.'.join(path[3:])]}.{leaf}"
    return f"{EMBEDDINGS[path[1]]}.{leaf}" if path[0] == "embeddings" and len(path) == 2 and path[1] in EMBEDDINGS else ""


def _word(word: str) -> str:
    """llama.cpp marks beginnings of words where the published vocabulary marks continuations."""
    if word.startswith("[") and word.endswith("]"):
        return word
    return word[2:] if word.startswith("##") else f"\u2581{word}"


def _text(file: BinaryIO, text: str) -> None:
    data = text.encode()
    file.write(struct.pack("<Q", len(data)) + data)


def _value(file: BinaryIO, key: str, kind: int, value: Any) -> None:
    _text(file, key)
    file.write(struct.pack("<I", kind))
    if kind == ARRAY:
        texts = isinstance(value[0], str)
        file.write(struct.pack("<IQ", STRING if texts else INT32, len(value)))
        for item in value:
            if texts:
                _text(file, item)
            else:
                file.write(struct.pack("<i", item))
    elif kind == STRING:
        _text(file, value)
    else:
        file.write(struct.pack({UINT32: "<I", FLOAT32: "<f", BOOL: "<?"}[kind], value))


def _tensors(file: BinaryIO, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    position, blocks = 0, []
    for name, tensor in tensors.items():
        half = tensor.ndim == 2 and name.startswith(("blk.", "token_embd."))
        data = tensor.astype(np.float16 if half else np.float32).tobytes()
        _text(file, name)
        file.write(struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *reversed(tensor.shape)))
        file.write(struct.pack("<IQ", F16 if half else F32, position))
        padded = data + bytes(-len(data) % ALIGNMENT)
        blocks.append(padded)
        position += len(padded)
    file.write(bytes(-file.tell() % ALIGNMENT))
    file.writelines(blocks)

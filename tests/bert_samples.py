"""Embedding models as GGUF files, written here: the default one from the weights that are installed, and a tiny one at random."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.unit.inference.gguf_samples import pair, tensor

_F32, _F16 = 0, 1
_MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?"
_TABLES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}

Arrays = Mapping[str, np.ndarray]


def minilm_gguf(path: Path, **metadata: object) -> Path:
    """The published float weights of the default embedder, matrices in 16 bits, and its vocabulary."""
    from safetensors.numpy import load_file

    from appliance.inference.sources import EMBEDDING_TOKENIZER, EMBEDDING_WEIGHTS, locate

    known = json.loads(locate(EMBEDDING_TOKENIZER).read_text())["model"]["vocab"]
    published = load_file(locate(EMBEDDING_WEIGHTS))
    names = dict(_TABLES)
    for layer in range(6):
        names |= {f"encoder.layer.{layer}.{theirs}": f"blk.{layer}.{ours}" for theirs, ours in _LAYER.items()}
    weights = {
        f"{ours}.{part}": published[f"{theirs}.{part}"]
        for theirs, ours in names.items()
        for part in ("weight", "bias")
        if f"{theirs}.{part}" in published
    }
    return bert_gguf(path, weights, sorted(known, key=known.get), heads=12, **metadata)


def tiny_bert(path: Path, *, dimensions: int = 32, places: int = 64, scale: float = 1.0, **metadata: object) -> Path:
    """One layer of random numbers that knows letters: vectors of texts, though of no meaning."""
    drawn, wide = np.random.default_rng(3), 2 * dimensions

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (scale * drawn.standard_normal((rows, columns)) / columns**0.5).astype(np.float32)

    vocabulary = [*_MARKS, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    shapes = {"attn_q": dimensions, "attn_k": dimensions, "attn_v": dimensions, "attn_output": dimensions, "ffn_up": wide}
    weights = {
        "token_embd.weight": matrix(len(vocabulary), dimensions),
        "position_embd.weight": matrix(places, dimensions),
        "token_types.weight": matrix(2, dimensions),
        "blk.0.ffn_down.weight": matrix(dimensions, wide),
        "blk.0.ffn_down.bias": np.zeros(dimensions, np.float32),
    }
    for name, rows in shapes.items():
        weights |= {f"blk.0.{name}.weight": matrix(rows, dimensions), f"blk.0.{name}.bias": np.zeros(rows, np.float32)}
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        weights |= {f"{name}.weight": np.full(dimensions, scale, np.float32), f"{name}.bias": np.zeros(dimensions, np.float32)}
    return bert_gguf(path, weights, vocabulary, heads=4, **metadata)


def bert_gguf(path: Path, weights: Arrays, vocabulary: list[str], *, heads: int, **metadata: object) -> Path:
    """`metadata` changes what the file says of itself, dots written as two underscores; None leaves an entry out."""
    at = {mark: vocabulary.index(mark) for mark in _MARKS}
    embedded = weights["token_embd.weight"]
    said: dict[str, object] = {
        "general.architecture": "bert",
        "general.name": "sample-embedder",
        "general.license": "apache-2.0",
        "general.file_type": 1,
        "bert.block_count": sum(name.endswith("attn_q.weight") for name in weights),
        "bert.context_length": len(weights["position_embd.weight"]),
        "bert.embedding_length": embedded.shape[1],
        "bert.feed_forward_length": len(weights["blk.0.ffn_up.weight"]),
        "bert.attention.head_count": heads,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        # as llama.cpp keeps WordPiece: what begins a word is marked, not what continues it
        "tokenizer.ggml.tokens": [
            word if word in at else word.removeprefix("##") if word.startswith("##") else f"\u2581{word}" for word in vocabulary
        ],
        "tokenizer.ggml.token_type": [3 if word in at else 1 for word in vocabulary],
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.bos_token_id": at["[CLS]"],
        "tokenizer.ggml.eos_token_id": at["[SEP]"],
        "tokenizer.ggml.unknown_token_id": at["[UNK]"],
        "tokenizer.ggml.seperator_token_id": at["[SEP]"],
        "tokenizer.ggml.padding_token_id": at["[PAD]"],
    } | {name.replace("__", "."): value for name, value in metadata.items()}
    said = {name: value for name, value in said.items() if value is not None}
    described, data = [], []
    offset = 0
    for name, values in weights.items():
        # the library adds tables of places in 32 bits only
        narrow = values.ndim > 1 and name not in {"position_embd.weight", "token_types.weight"}
        stored = np.ascontiguousarray(values, np.float16 if narrow else np.float32).tobytes()
        described.append(tensor(name, tuple(reversed(values.shape)), _F16 if narrow else _F32, offset))
        data.append(stored + bytes(-len(stored) % 32))
        offset += len(data[-1])
    header = b"GGUF" + struct.pack("<IQQ", 3, len(described), len(said))
    header += b"".join(pair(name, value) for name, value in said.items()) + b"".join(described)
    path.write_bytes(header + bytes(-len(header) % 32) + b"".join(data))
    return path

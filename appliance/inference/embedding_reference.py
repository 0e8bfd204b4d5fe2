"""all-MiniLM-L6-v2 in plain float32 NumPy: slow, short, and what the eight-bit graph is compared with on each machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from appliance.inference.embedding_graph import DIMENSIONS, HEADS, LAYERS, Floats


def load_weights(path: Path) -> Mapping[str, Floats]:
    """The published weights by name."""
    from safetensors.numpy import load_file

    weights: dict[str, Any] = load_file(path)
    return weights


def embed_exactly(weights: Mapping[str, Floats], ids: Sequence[int]) -> Floats:
    """The vector of one text given as token ids, special tokens included."""
    table = weights["embeddings.word_embeddings.weight"][list(ids)]
    places = weights["embeddings.position_embeddings.weight"][: len(ids)]
    hidden = _normalise(weights, "embeddings.LayerNorm", table + places + weights["embeddings.token_type_embeddings.weight"][0])
    for layer in range(LAYERS):
        hidden = _layer(weights, f"encoder.layer.{layer}", hidden)
    mean = hidden.mean(axis=0)
    vector: Floats = mean / np.linalg.norm(mean)
    return vector


def _layer(weights: Mapping[str, Floats], path: str, hidden: Floats) -> Floats:
    query, key, value = (
        _dense(weights, f"{path}.attention.self.{part}", hidden).reshape(-1, HEADS, DIMENSIONS // HEADS).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(DIMENSIONS // HEADS)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ value
    projected = _dense(weights, f"{path}.attention.output.dense", mixed.transpose(1, 0, 2).reshape(-1, DIMENSIONS))
    middle = _normalise(weights, f"{path}.attention.output.LayerNorm", projected + hidden)
    wide = _dense(weights, f"{path}.intermediate.dense", middle)
    curved = (wide * (1 + _erf((wide / math.sqrt(2)).astype(np.float32))) / 2).astype(np.float32)
    return _normalise(weights, f"{path}.output.LayerNorm", _dense(weights, f"{path}.output.dense", curved) + middle)


def _dense(weights: Mapping[str, Floats], name: str, values: Floats) -> Floats:
    product: Floats = values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return product


def _normalise(weights: Mapping[str, Floats], name: str, values: Floats) -> Floats:
    centred = values - values.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(values.var(axis=-1, keepdims=True) + 1e-12)
    result: Floats = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return result


def _erf(values: Floats) -> Floats:
    """The error function to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    size = np.abs(values)
    step = 1 / (1 + 0.3275911 * size)
    series = np.polynomial.polynomial.polyval(step, [0.0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429])
    result: Floats = (np.sign(values) * (1 - series * np.exp(-size * size))).astype(np.float32)
    return result

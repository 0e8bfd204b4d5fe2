"""How much memory a model needs and how much this box has; megabytes of 1,000,000 bytes."""

from __future__ import annotations

from appliance.errors import InvalidInput
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.store.versions import Facts, Kind

CONTEXT_TOKENS = 4_096
"""The context that memory needs are stated for; a model trained for less is counted with less."""

_SCORED = 32
"""Tokens of one step that llama.cpp keeps scores of: those that are written and those that are guessed, of all answers."""
_SCORED_ELSEWHERE = 512  # other libraries score every token that they read at once
_ACTIVATIONS_MB = 32  # of one batch, beside its scores: small against weights and cache


def kv_bytes_per_token(*, layers: int, kv_heads: int, key_length: int, value_length: int, number_bytes: int = 2) -> int:
    """Keys and values of one token in all layers; llama.cpp keeps 16 bits a number."""
    return layers * kv_heads * (key_length + value_length) * number_bytes


def needed_mb(facts: Facts, size_bytes: int, context_tokens: int = CONTEXT_TOKENS) -> int:
    """Weights, cache of a full context, and the scores of one step over the whole vocabulary."""
    context = min(context_tokens, facts.context_tokens or context_tokens)
    scored = _SCORED if facts.format == "gguf" else min(_SCORED_ELSEWHERE, context)
    return round((size_bytes + facts.kv_bytes_per_token * context) / 1e6 + working_mb(facts.kind, facts.vocabulary, scored))


def working_mb(kind: Kind, vocabulary: int, scored: int = _SCORED) -> float:
    """What a model takes beside weights and cache: scores of so many tokens over the whole vocabulary, and activations."""
    return (4 * vocabulary * scored / 1e6 if kind == "language" else 0) + _ACTIVATIONS_MB


def box_mb() -> int:
    """Memory that processes of this box may use; 0 where it cannot be found out, and then nothing has room."""
    return probe_hardware().memory_total_mb


def require_room(title: str, need_mb: int, have_mb: int) -> None:
    """Raise `InvalidInput` (`model.too_large`) unless the box could ever hold the model."""
    if need_mb > have_mb:
        raise InvalidInput(
            f"{title} needs about {need_mb:,} MB of memory and this box has {have_mb:,} MB. "
            "Choose a smaller model or a stronger quantisation.",
            code="model.too_large",
            needed_mb=need_mb,
            available_mb=have_mb,
        )

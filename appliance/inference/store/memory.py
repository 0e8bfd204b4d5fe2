"""How much memory a model needs and how much this box has; megabytes of 1,000,000 bytes."""

from __future__ import annotations

from pathlib import Path

from appliance.errors import InvalidInput
from appliance.inference.store.versions import Facts

CONTEXT_TOKENS = 4_096
"""The context that memory needs are stated for; a model trained for less is counted with less."""

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_BATCH_TOKENS = 512
_ACTIVATIONS_MB = 32  # of one batch, beside its scores: small against weights and cache


def kv_bytes_per_token(*, layers: int, kv_heads: int, key_length: int, value_length: int) -> int:
    """Keys and values of one token in all layers, 16 bits a number."""
    return layers * kv_heads * (key_length + value_length) * 2


def needed_mb(facts: Facts, size_bytes: int, context_tokens: int = CONTEXT_TOKENS) -> int:
    """Weights, cache of a full context, and the scores of one batch over the whole vocabulary."""
    context = min(context_tokens, facts.context_tokens or context_tokens)
    scores = 4 * facts.vocabulary * min(_BATCH_TOKENS, context) if facts.kind == "language" else 0
    return round((size_bytes + facts.kv_bytes_per_token * context + scores) / 1e6) + _ACTIVATIONS_MB


def box_mb() -> int:
    """Memory that processes of this box may use: what the machine has, or less where a control group allows less."""
    lines = _MEMINFO.read_text().splitlines() if _MEMINFO.exists() else []
    sizes = [int(line.split()[1]) * 1_024 for line in lines if line.startswith("MemTotal:")]
    for file in _CGROUPS:
        limit = file.read_text().strip() if file.exists() else "max"
        if limit.isdecimal():
            sizes.append(int(limit))
    return min(sizes) // 1_000_000 if sizes else 0


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

"""What this box offers: each installed language model through each runtime that takes its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from appliance.inference.hardware.models import MB
from appliance.inference.models import Model
from appliance.inference.registry import RuntimeSpec
from appliance.inference.selection.models import Offer

_FORMATS = {"gguf": "gguf", "onnx genai": "genai"}
_SMALL_BYTES = 1_100_000_000
"""Files of models from 1.5 thousand million parameters on are larger than this in the formats in use."""
_CONTEXT_AND_WORK_MB = 150


def offers_of(models: Iterable[Model], specs: Mapping[str, RuntimeSpec], context_tokens: int) -> list[Offer]:
    """An offer for each pair that fits together, those included that cannot run here: why is part of the answer."""
    available = {name: spec.probe() for name, spec in specs.items()}
    return [
        Offer(
            runtime=name,
            model_id=model.id,
            name=model.id.partition("@")[0],
            kind=model.kind,
            size_class="small" if model.size_bytes > _SMALL_BYTES else "micro",
            memory_mb=model.size_bytes // MB + _CONTEXT_AND_WORK_MB,
            context_tokens=min(model.context_tokens, context_tokens),
            state="active" if model.active else "candidate",
            devices=available[name].devices,
            unusable="" if available[name].usable else available[name].reason or f"{spec.title} cannot run on this box.",
        )
        for model in models
        for name, spec in specs.items()
        if model.kind == "language" and _format(model) in spec.formats
    ]


def _format(model: Model) -> str:
    """The format without its quantisation, in the words of `RuntimeSpec.formats`: "GGUF Q4_0" is "gguf"."""
    return _FORMATS.get(model.format.rpartition(" ")[0].lower(), "")

"""ONNX Runtime GenAI in this process. Whoever only looks at `SPEC` loads none of its libraries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from appliance.errors import SetupError
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime

PROVIDERS = {"cuda": "cuda", "dml": "dml", "openvino": "OpenVINO", "qnn": "qnn", "ryzenai": "RyzenAI", "webgpu": "webgpu"}
"""Libraries by the name that ONNX Runtime GenAI has for their execution provider; "cpu" is what is there without any."""


def _probe() -> Availability:
    found = find_spec("onnxruntime_genai"), find_spec("onnxruntime")
    places = [Path(place) for spec in found if spec is not None for place in spec.submodule_search_locations or ()]
    if not all(found):
        return Availability(usable=False, reason="onnxruntime-genai is not installed; it comes with the extra genai.")
    files = {path.name for place in places for folder in (place, place / "capi") for path in folder.glob("*onnxruntime*")}
    built = [name for name in PROVIDERS if any(f"providers_{name}." in file or f"genai-{name}." in file for file in files)]
    return Availability(usable=True, libraries=("cpu", *built))


def _load(request: LoadRequest) -> Runtime:
    from appliance.inference.genai.runtime import WAITING_LIMIT, GenaiRuntime

    if request.path is None:
        raise SetupError("ONNX Runtime GenAI needs a model folder.", code="inference.no_file")
    return GenaiRuntime(
        request.model,
        request.path,
        request.context_tokens,
        request.threads,
        device=request.device,
        library=request.library,
        waiting_limit=max(WAITING_LIMIT, request.slots),  # whoever was accepted finds a place
    )


SPEC = RuntimeSpec("genai", "ONNX Runtime GenAI", frozenset({"genai"}), _probe, _load)

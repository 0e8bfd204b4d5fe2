"""The language model inside this process: llama.cpp on the box's own cores, for several conversations at once."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import SetupError
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime

if TYPE_CHECKING:
    from appliance.inference.llamacpp.runtime import LlamaCppRuntime

__all__ = ["SPEC", "LlamaCppRuntime"]

LIBRARIES = ("cuda", "hip", "vulkan", "metal", "sycl")
"""What it may be built with beside the processor's own; each is a file of its package."""


def __getattr__(name: str) -> Any:
    """The runtime itself is imported when it is first wanted: whoever only looks at `SPEC` needs none of its libraries."""
    if name == "LlamaCppRuntime":
        from appliance.inference.llamacpp.runtime import LlamaCppRuntime

        return LlamaCppRuntime
    raise AttributeError(name)


def _probe() -> Availability:
    found = find_spec("llama_cpp")
    if found is None or found.origin is None:
        return Availability(usable=False, reason="llama-cpp-python is not installed.")
    libraries = [path.name for path in (Path(found.origin).parent / "lib").glob("*ggml-*")]
    built = tuple(library for library in LIBRARIES if any(f"ggml-{library}" in name for name in libraries))
    return Availability(usable=True, libraries=("cpu", *built))


def _load(request: LoadRequest) -> Runtime:
    from appliance.inference.llamacpp.native import Adapter
    from appliance.inference.llamacpp.runtime import LlamaCppRuntime

    if request.path is None:
        raise SetupError("llama.cpp needs a model file.", code="inference.no_file")
    return LlamaCppRuntime(
        request.model,
        request.path,
        request.context_tokens,
        request.threads,
        slots=request.slots,
        device=request.device,
        library=request.library,
        adapters=[Adapter(path, scale) for path, scale in request.adapters],
        template=request.template,
    )


SPEC = RuntimeSpec("llamacpp", "llama.cpp", frozenset({"gguf"}), _probe, _load)

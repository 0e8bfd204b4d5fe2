"""The Foundry Local SDK in this process. Whoever only looks at `SPEC` loads none of its libraries."""

from __future__ import annotations

from importlib.util import find_spec

from appliance.errors import InvalidInput, SetupError
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime
from appliance.inference.store.sealed_folder import is_sealed

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
"""Libraries by the SDK's name for their execution provider."""


def _probe() -> Availability:
    if find_spec("foundry_local_sdk") is None:
        return Availability(usable=False, reason="foundry-local-sdk is not installed; it comes with the extra foundry.")
    # the SDK fetches every other execution provider over the network, which it is never asked to do here
    return Availability(usable=True, libraries=("cpu",))


def _load(request: LoadRequest) -> Runtime:
    from appliance.inference.foundry.runtime import WAITING_LIMIT, FoundryRuntime

    if request.path is None:
        raise SetupError("Foundry Local needs a model folder.", code="inference.no_file")
    if request.adapters or request.template:
        raise InvalidInput("Foundry Local takes neither adapters nor a TEMPLATE.", code="inference.unsupported")
    if is_sealed(request.path):
        raise SetupError(
            "Foundry Local reads folders on disks, and no model that is encrypted there.", code="inference.encrypted"
        )
    return FoundryRuntime(
        request.model,
        request.path,
        request.context_tokens,
        request.threads,
        device=request.device,
        library=request.library,
        waiting_limit=max(WAITING_LIMIT, request.slots),  # whoever was accepted finds a place
    )


SPEC = RuntimeSpec("foundry", "Foundry Local", frozenset({"genai"}), _probe, _load, reads_memory=False)

"""Switching off the reporting that ships inside the inference libraries.

ONNX Runtime opens connections to its vendor's collector from native code unless told not to, and reads these variables when
it is loaded. They belong into the environment of every process of the appliance, before anything else is imported.
"""

from __future__ import annotations

import sys
from types import MappingProxyType

from appliance.errors import SetupError
from appliance.settings import set_environment

OPT_OUTS = MappingProxyType(
    {
        "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime, onnxruntime-genai
        "ORT_TELEMETRY_DISABLED": "1",  # Foundry Local
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "OLLAMA_NO_CLOUD": "1",
    }
)


def silence() -> None:
    """Put the opt-outs into the environment of this process and its children.

    Raises `SetupError` if a reporting library is already loaded without them: then it may have reported.
    """
    if set_environment(OPT_OUTS) and "onnxruntime" in sys.modules:
        raise SetupError("onnxruntime was loaded before its telemetry was switched off.", code="setup.telemetry")

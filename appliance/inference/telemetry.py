"""Switching off the reporting that ships inside the inference libraries.

ONNX Runtime opens connections to its vendor's collector from native code unless told not to, and reads these variables when
it is loaded. They belong into the environment of every process of the appliance, before anything else is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from appliance.errors import SetupError
from appliance.settings import environment_says, set_environment

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
UNDER_TEST = MappingProxyType({"CI": "true"})
"""For Foundry Local alone: it reports its start in spite of its opt-outs, but not where it takes itself to be under test."""

WITHOUT_OPT_OUTS = "CLOISTER_WITHOUT_OPT_OUTS"
"""Set to 1 for half of `cloister egress prove` only: libraries may try to report, so that the seal has something to hold back."""


def opt_outs() -> Mapping[str, str]:
    """What the environment of every process of the appliance says to libraries."""
    return {WITHOUT_OPT_OUTS: "1"} if environment_says(WITHOUT_OPT_OUTS) else OPT_OUTS


def silence_foundry() -> None:
    """Before its library is loaded, in the process that loads it."""
    silence()
    if opt_outs() is OPT_OUTS:
        set_environment(UNDER_TEST)


def silence(library: ModuleType | None = None) -> None:
    """Put the opt-outs into the environment of this process and its children; of a loaded `library`, end the reporting.

    Raises `SetupError` if a reporting library is already loaded without them: then it may have reported.
    """
    if library is not None and opt_outs() is OPT_OUTS:
        library.disable_telemetry_events()
    if set_environment(opt_outs()) and "onnxruntime" in sys.modules:
        raise SetupError("onnxruntime was loaded before its telemetry was switched off.", code="setup.telemetry")

"""Models in an Ollama on this machine."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from urllib.parse import urlsplit

from appliance.inference.ollama.names import DEFAULT_ADDRESS
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime

_KNOCK_S = 0.3


def _probe() -> Availability:
    if find_spec("ollama") is None:
        return Availability(usable=False, reason="The Python package ollama is not installed.")
    usual = urlsplit(DEFAULT_ADDRESS)
    try:
        socket.create_connection((str(usual.hostname), usual.port or 0), _KNOCK_S).close()
    except OSError:
        return Availability(usable=False, reason=f"No Ollama answers at {DEFAULT_ADDRESS}.")
    return Availability(usable=True)


def _load(request: LoadRequest) -> Runtime:
    """`request.destination` is the server's address, the usual one where it is empty; `model.file` the model's name there."""
    # the package brings pydantic along and is not needed to know that it is there
    from appliance.inference.ollama.client import LocalClient
    from appliance.inference.ollama.runtime import OllamaRuntime

    client = LocalClient(request.destination or DEFAULT_ADDRESS)
    return OllamaRuntime(request.model, request.model.file or request.model.id, client, request.context_tokens)


SPEC = RuntimeSpec("ollama", "Ollama", frozenset({"served"}), _probe, _load)

"""Models in an Ollama on this machine."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from urllib.parse import urlsplit

from appliance.errors import SetupError
from appliance.inference.models import Model
from appliance.inference.ollama.names import DEFAULT_ADDRESS
from appliance.inference.ollama.serving import find_ollama
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
        there = "is installed here, but does not answer" if find_ollama() else "is not installed here, and none answers"
        return Availability(usable=False, reason=f"Ollama {there} at {DEFAULT_ADDRESS}.")
    return Availability(usable=True)


def _load(request: LoadRequest) -> Runtime:
    """`request.destination` is the server's address, the usual one where it is empty. Raises what `OllamaRuntime` raises."""
    # the package brings pydantic along and is not needed to know that it is there
    try:
        from appliance.inference.ollama.client import LocalClient
        from appliance.inference.ollama.runtime import OllamaRuntime
    except (ImportError, OSError, ValueError) as error:
        # it makes a client of its own while it is imported, with the addresses and proxies of the environment
        raise SetupError(
            f"The package ollama does not start in this environment ({error}): look at OLLAMA_HOST and the proxies.",
            code="setup.ollama",
        ) from error

    client = LocalClient(request.destination or DEFAULT_ADDRESS)
    return OllamaRuntime(request.model, _name(request.model), client, request.context_tokens)


def _name(model: Model) -> str:
    """What the server calls it. Raises `SetupError` where that is not said."""
    kind, _, name = model.source.partition(":")
    if kind != "ollama" or not name:
        raise SetupError(f"The source of {model.id} is no model of Ollama.", code="inference.no_model")
    return name


SPEC = RuntimeSpec("ollama", "Ollama", frozenset({"served"}), _probe, _load)

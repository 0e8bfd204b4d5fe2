"""Models in an Ollama on this machine."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.errors import ApplianceError, SetupError
from appliance.inference.models import Model
from appliance.inference.ollama.names import DEFAULT_ADDRESS
from appliance.inference.ollama.serving import find_ollama
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime

if TYPE_CHECKING:
    from appliance.inference.ollama.client import LocalClient

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


def open_client(address: str = "") -> LocalClient:
    """A client of the Ollama at `address`, the usual one where it is empty. Raises `SetupError`."""
    # the package brings pydantic along and is not needed to know that it is there
    try:
        from appliance.inference.ollama.client import LocalClient
    except (ImportError, OSError, ValueError) as error:
        # it makes a client of its own while it is imported, with the addresses and proxies of the environment
        raise SetupError(
            f"The package ollama does not start in this environment ({error}): look at OLLAMA_HOST and the proxies.",
            code="setup.ollama",
        ) from error
    return LocalClient(address or DEFAULT_ADDRESS)


def _load(request: LoadRequest) -> Runtime:
    """`request.destination` is the server's address, the usual one where it is empty. Raises what `OllamaRuntime` raises."""
    name = _name(request.model)
    client = open_client(request.destination)
    from appliance.inference.ollama.models import check_unchanged
    from appliance.inference.ollama.runtime import OllamaRuntime

    try:
        check_unchanged(client, name, request.model.sha256)
        return OllamaRuntime(request.model, name, client, request.context_tokens)
    except ApplianceError:
        client.close()
        raise


def _name(model: Model) -> str:
    """What the server calls it. Raises `SetupError` where that is not said."""
    kind, _, name = model.source.partition(":")
    if kind != "ollama" or not name:
        raise SetupError(f"The source of {model.id} is no model of Ollama.", code="inference.no_model")
    return name


SPEC = RuntimeSpec("ollama", "Ollama", frozenset({"served"}), _probe, _load)

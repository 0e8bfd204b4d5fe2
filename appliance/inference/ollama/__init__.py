"""Models in an Ollama on this machine."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.errors import ApplianceError, SetupError, Unavailable
from appliance.inference.models import Model
from appliance.inference.ollama.names import DEFAULT_ADDRESS, checked_address
from appliance.inference.ollama_program import find_ollama
from appliance.inference.registry import Availability, LoadRequest, RuntimeSpec
from appliance.inference.runtime import Runtime, TextEmbedder

if TYPE_CHECKING:
    from appliance.inference.ollama.client import LocalClient
    from appliance.inference.store.versions import ModelVersion

OUTSIDE = (
    "This process is sealed: it reaches the Ollama that the box starts itself (setting ollama_program), or one that "
    "destinations.toml names, and no other."
)
LIBRARIES = ("cpu", "cuda", "hip", "metal", "vulkan")
"""What its makers build it with. A server does not say which of them it has; where it computes is seen once it has loaded."""

_KNOCK_S = 0.3
_SEALED = frozenset({errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES, errno.ENETUNREACH})


def ollama_at(address: str = "") -> RuntimeSpec:
    """The runtime for the Ollama at `address`, the usual one of this machine where it is empty."""
    return RuntimeSpec(
        "ollama", "Ollama", frozenset({"served"}), lambda: _probe(address), lambda request: _load(request, address)
    )


def _probe(address: str) -> Availability:
    if find_spec("ollama") is None:
        return Availability(usable=False, reason="The Python package ollama is not installed.")
    try:
        _knock(address or DEFAULT_ADDRESS)
    except OSError as error:
        if address:
            return Availability(usable=False, reason="The Ollama that this box starts does not answer.")
        if error.errno in _SEALED:
            return Availability(usable=False, reason=OUTSIDE)
        there = "is installed here, but does not answer" if find_ollama() else "is not installed here, and none answers"
        return Availability(usable=False, reason=f"Ollama {there} at {DEFAULT_ADDRESS}.")
    return Availability(usable=True, libraries=LIBRARIES)


def _knock(address: str) -> None:
    """Raises `OSError` where nobody listens."""
    base, path = checked_address(address)
    if path is None:
        parts = urlsplit(base)
        socket.create_connection((str(parts.hostname), parts.port or 0), _KNOCK_S).close()
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        knocking.settimeout(_KNOCK_S)
        knocking.connect(path)


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


def _load(request: LoadRequest, address: str) -> Runtime:
    """`request.destination` is the server's address, `address` where it is empty. Raises what `OllamaRuntime` raises."""
    name = _name(request.model)
    client = open_client(request.destination or address)
    from appliance.inference.ollama.models import check_unchanged
    from appliance.inference.ollama.runtime import OllamaRuntime

    try:
        check_unchanged(client, name, request.model.sha256)
        return OllamaRuntime(request.model, name, client, request.context_tokens, request.device)
    except ApplianceError:
        client.close()
        raise


def load_embedder(version: ModelVersion, address: str, require_allowed: Callable[[], None]) -> TextEmbedder:
    """An embedding model of the Ollama at `address`. Raises what `OllamaEmbedder` and `require_allowed` raise."""
    name = _name(version.as_model())
    require_allowed()
    try:
        _knock(address or DEFAULT_ADDRESS)
    except OSError as error:
        if not address and error.errno in _SEALED:
            raise SetupError(OUTSIDE, code="setup.ollama") from error
        raise Unavailable("Ollama does not answer on this machine.", code="inference.unreachable") from error
    client = open_client(address)
    from appliance.inference.ollama.embedder import OllamaEmbedder

    try:
        return OllamaEmbedder(version, name, client, require_allowed)
    except ApplianceError:
        client.close()
        raise


def _name(model: Model) -> str:
    """What the server calls it. Raises `SetupError` where that is not said."""
    kind, _, name = model.source.partition(":")
    if kind != "ollama" or not name:
        raise SetupError(f"The source of {model.id} is no model of Ollama.", code="inference.no_model")
    return name


SPEC = ollama_at()

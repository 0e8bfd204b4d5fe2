"""Which names and addresses may be used: a model that computes elsewhere must not pass for one of this box. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from appliance.errors import Denied, InvalidInput, SetupError

DEFAULT_ADDRESS = "http://127.0.0.1:11434"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,2}(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_MAX_NAME = 200
_CLOUD = "cloud"
_REMOTE = ("remote_host", "remote_model")


def checked_name(name: str) -> str:
    """The name. Raises `InvalidInput` for what is none, and `Denied` (`inference.remote_model`) for one of Ollama's cloud."""
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise InvalidInput("That is no name of an Ollama model.", code="inference.model_name")
    path, _, tag = name.lower().partition(":")
    if path.endswith(_CLOUD) or tag.endswith(_CLOUD):
        raise _remote(name)
    return name


def check_local(name: str, shown: Mapping[str, Any]) -> None:
    """Raises `Denied` (`inference.remote_model`) if what the server says of a model names another server."""
    if any(shown.get(field) for field in _REMOTE):
        raise _remote(name)


def is_local(name: str, shown: Mapping[str, Any]) -> bool:
    try:
        check_local(checked_name(name), shown)
    except (Denied, InvalidInput):
        return False
    return True


def same_name(one: str, other: str) -> bool:
    """Whether two names mean one model: without a tag it is the latest."""
    return one.removesuffix(":latest") == other.removesuffix(":latest")


def checked_address(address: str) -> tuple[str, str | None]:
    """Base address and, for `unix:/path`, the socket. Raises `SetupError` for anything but this machine.

    Names are not taken, `localhost` included: what they stand for is decided elsewhere.
    """
    if address.startswith("unix:/"):
        return "http://127.0.0.1", "/" + address.removeprefix("unix:").lstrip("/")
    try:
        parts = urlsplit(address)
        loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        plain = parts.scheme == "http" and parts.port is not None and not (parts.path.strip("/") or parts.query or parts.username)
    except ValueError:
        loopback = plain = False
    if not (loopback and plain):
        raise SetupError(
            f"Ollama is used on this machine only, at an address like {DEFAULT_ADDRESS} or unix:/path; {address!r} is none.",
            code="setup.ollama_address",
        )
    return address.rstrip("/"), None


def _remote(name: str) -> Denied:
    return Denied(f"{name} does not compute on this box: what it is asked would leave it.", code="inference.remote_model")

"""May this call leave? Pure: asked by the gate, of what it has read itself; what a caller says about itself opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.egress.calls import OWN_WORDS
from appliance.egress.destinations import Destination, Purpose, valid_path
from appliance.egress.frames import Asked
from appliance.egress.own_words import LIMIT_BYTES
from appliance.egress.windows import MaintenanceWindow, is_open

_BODY_LIMITS = {Purpose.INFERENCE: 16_000_000, Purpose.IDENTITY: 100_000, Purpose.LOG: 16_000_000, Purpose.DOWNLOAD: 0}
ANSWER_LIMITS = {
    Purpose.INFERENCE: 16_000_000,
    Purpose.IDENTITY: 1_000_000,
    Purpose.LOG: 1_000_000,
    Purpose.DOWNLOAD: 200_000_000_000,
}
"""Bytes that may come back, whatever was asked for."""

_INFERENCE_PATHS = frozenset(
    {"/v1/models", "/v1/chat/completions", "/tokenize", "/apply-template", "/props"}
    | {"/api/version", "/api/tags", "/api/ps", "/api/show", "/api/chat"}
)
"""All that is ever asked of a server; any other path could be a text in disguise."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What an administrator allowed. `classified` says for each classification which destinations its passages may go to."""

    destinations: Mapping[str, Destination]
    windows: Sequence[MaintenanceWindow]
    classified: Mapping[str, frozenset[str]]


def objection(asked: Asked, permissions: Permissions) -> str:
    """Why not, as the audit log says it; empty where it may leave."""
    destination = permissions.destinations.get(asked.destination)
    if destination is None:
        return "unknown_destination"
    if destination.purpose is not asked.purpose:
        return "other_purpose"
    if asked.purpose is Purpose.DOWNLOAD and not is_open(permissions.windows):
        return "no_maintenance_window"
    if not _path_may_go(asked, destination):
        return "path"
    if not 0 <= asked.body_bytes <= _BODY_LIMITS[asked.purpose]:
        return "too_large"
    return "" if _content_may_go(asked, permissions) else "classification"


def _path_may_go(asked: Asked, destination: Destination) -> bool:
    if asked.purpose is Purpose.INFERENCE:
        return asked.path in _INFERENCE_PATHS
    if asked.purpose is Purpose.LOG:
        return asked.path == destination.path
    return valid_path(asked.path)


def _content_may_go(asked: Asked, permissions: Permissions) -> bool:
    """Passages go to an inference server that the routing policy names for their classification, and nowhere else."""
    if asked.purpose is not Purpose.INFERENCE:
        return not asked.classification
    if not asked.body_bytes:
        return True
    if asked.classification == OWN_WORDS:
        return asked.body_bytes <= LIMIT_BYTES  # what it says is looked at when it is there
    return asked.destination in permissions.classified.get(asked.classification, frozenset())

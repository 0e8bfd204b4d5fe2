"""What answers depend on besides the question and the documents: models, settings, thresholds. Recorded with each run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from appliance.inference.store import records
from appliance.inference.store.versions import VersionState
from appliance.settings import Settings

_SETTINGS = ("passages_limit", "context_tokens", "answer_tokens", "chunk_tokens")


class Conditions:
    """The conditions on this box; `silence` and `routing_sha256` are what the policies said at start."""

    def __init__(self, settings: Settings, silence: Any, routing_sha256: str) -> None:
        self._fixed = {
            "settings": {name: getattr(settings, name) for name in _SETTINGS},
            "silence": asdict(silence),
            "routing_sha256": routing_sha256,
        }

    def of(self, connection: Connection, version_id: str = "") -> dict[str, Any]:
        """As they are, or as they would be were this version active."""
        versions = [item for item in records.load_versions(connection) if item.state is VersionState.ACTIVE]
        name = version_id.rpartition("@")[0]
        language = {item.id for item in versions if item.kind == "language" and item.name != name}
        language |= {version_id} if version_id else set()
        embedding = {item.id for item in versions if item.kind == "embedding"}
        return {**self._fixed, "language": sorted(language), "embedding": sorted(embedding)}


def digest_of(conditions: Mapping[str, Any]) -> str:
    """One digest for all of it, to tell at a glance whether two runs compare models or something else."""
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()

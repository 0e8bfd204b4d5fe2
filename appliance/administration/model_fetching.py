"""Models that come through the gate: from a destination for downloads, in a declared window, by a digest that is known before."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.administration.model_importing import ModelImporting
from appliance.audit.events import AuditEvent, EventName, Outcome
from appliance.audit.log import AuditLog
from appliance.egress.calls import Call
from appliance.egress.destinations import Purpose
from appliance.errors import ApplianceError, InvalidInput, Unavailable
from appliance.identity.models import Principal
from appliance.inference.store import ModelStore
from appliance.inference.store.importing import Order
from appliance.inference.store.versions import ModelVersion
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database
from appliance.storage.digests import Watch

if TYPE_CHECKING:
    from appliance.egress.gate import Gate

_SOURCE = re.compile(r"destination:(?P<place>[a-z0-9-]+):(?P<path>/\S+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_BYTES = 200_000_000_000
_SILENCE_S = 60.0
_OK = 200


class ModelFetching:
    """Takes in what a named machine offers."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, store: ModelStore, importing: ModelImporting) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._store = store
        self._importing = importing

    def fetch(self, principal: Principal, source: str, order: Order, gate: Gate, *, watch: Watch | None = None) -> ModelVersion:
        """Import `destination:PLACE:/path/of/file.gguf`. The order names its digest: a connection vouches for nobody's file.

        Raises `InvalidInput` (`model.source`, `model.digest_needed`, `model.digest`), `Denied` (`egress.refused`), `Unavailable`
        (`egress.*`, `model.not_there`, `disk.full`), and as `ModelImporting.take_in`.
        """
        self._access.require(principal, Action.MODEL_IMPORT, APPLIANCE)
        with self._store.content.draft() as directory:
            try:
                path = _fetched(_call(principal, source, order), order.sha256.lower(), directory, gate)
            except ApplianceError as error:
                self._refused(principal, error.stable_code)
                raise
            return self._importing.take_in(principal, path, replace(order, sha256=order.sha256.lower()), watch=watch)

    def _refused(self, principal: Principal, reason: str) -> None:
        event = AuditEvent(EventName.MODEL_IMPORTED, principal, outcome=Outcome.FAILURE, facts={"reason": reason})
        with self._database.write() as connection:
            self._audit.append(connection, event)


def _call(principal: Principal, source: str, order: Order) -> Call:
    named = _SOURCE.fullmatch(source)
    if named is None:
        raise InvalidInput("A download is named destination:PLACE:/path/of/file.gguf.", code="model.source")
    if not _SHA256.fullmatch(order.sha256.lower()):
        raise InvalidInput("What comes over a connection needs its digest: use --sha256.", code="model.digest_needed")
    place, path = named["place"], named["path"]
    return Call(place, Purpose.DOWNLOAD, path, person=principal.id, limit_bytes=_LARGEST_BYTES, silence_s=_SILENCE_S)


def _fetched(call: Call, sha256: str, directory: Path, gate: Gate) -> Path:
    path, digest = directory / call.path.rpartition("/")[2], hashlib.sha256()
    with gate.open(call) as reply:
        if reply.status != _OK:
            raise Unavailable(f"{call.destination} has no file {call.path} for us.", code="model.not_there", status=reply.status)
        with path.open("xb") as file:
            for piece in reply.pieces():
                digest.update(piece)
                file.write(piece)
    if digest.hexdigest() != sha256:
        raise InvalidInput(f"{path.name} is not the file with that digest; it was not stored.", code="model.digest")
    return path

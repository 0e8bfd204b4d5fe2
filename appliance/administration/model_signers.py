"""Whose signatures on models count here."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from appliance.audit.events import AuditEvent, EventName
from appliance.audit.log import AuditLog
from appliance.errors import Conflict, NotFound
from appliance.identity.models import Principal
from appliance.identity.store import clean_name
from appliance.inference.store import records
from appliance.inference.store.records import Signer
from appliance.inference.store.signatures import fingerprint, read_public_key
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.clock import now_ms
from appliance.storage.database import Database

_SHORTEST_PREFIX = 8


class ModelSigners:
    """Public keys that administrators trust; each change is audited."""

    def __init__(self, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def list(self, principal: Principal) -> list[Signer]:
        self._access.require(principal, Action.MODEL_LIST, APPLIANCE)
        with self._database.write() as connection:
            signers = records.load_signers(connection)
            self._audit.append(connection, AuditEvent(EventName.MODEL_LISTED, principal, facts={"signers": len(signers)}))
        return signers

    def trust(self, principal: Principal, key_file: Path, name: str) -> Signer:
        """Let signatures by this key count from now on. Raises `InvalidInput` (`model.signer_key`), `Conflict`."""
        self._access.require(principal, Action.MODEL_TRUST, APPLIANCE)
        key = read_public_key(key_file)
        signer = Signer(fingerprint(key), key, clean_name(name, code="model.signer_name"), now_ms())
        with self._database.write() as connection:
            if any(known.fingerprint == signer.fingerprint for known in records.load_signers(connection)):
                raise Conflict("This key is trusted already.", code="model.signer_known")
            records.insert_signer(connection, signer)
            self._append(connection, principal, EventName.SIGNER_TRUSTED, signer)
        return signer

    def distrust(self, principal: Principal, prefix: str) -> Signer:
        """Take the trust back; what was imported under it stays. `prefix` is the beginning of the fingerprint."""
        self._access.require(principal, Action.MODEL_TRUST, APPLIANCE)
        with self._database.write() as connection:
            matching = [known for known in records.load_signers(connection) if known.fingerprint.startswith(prefix.lower())]
            if len(matching) != 1 or len(prefix) < _SHORTEST_PREFIX:
                raise NotFound("There is no trusted key with this fingerprint.", code="model.signer_unknown")
            records.delete_signer(connection, matching[0].fingerprint)
            self._append(connection, principal, EventName.SIGNER_DISTRUSTED, matching[0])
        return matching[0]

    def _append(self, connection: Connection, principal: Principal, event: EventName, signer: Signer) -> None:
        self._audit.append(connection, AuditEvent(event, principal, facts={"fingerprint": signer.fingerprint}))

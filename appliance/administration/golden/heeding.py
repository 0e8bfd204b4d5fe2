"""What golden sets say is heeded before a version answers anybody, unless an administrator says why not. Both are audited."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.administration.golden.gate import GoldenGate
from appliance.administration.golden.objection import GoldenObjection
from appliance.audit.events import AuditEvent, EventName, Outcome, ResourceRef
from appliance.audit.log import AuditLog
from appliance.errors import InvalidInput
from appliance.identity.models import Principal
from appliance.inference.store.versions import ModelVersion
from appliance.policy.access import Access
from appliance.policy.actions import Action
from appliance.policy.resources import APPLIANCE
from appliance.storage.database import Database

_LONGEST_REASON = 1_000


@dataclass(frozen=True, slots=True)
class Heed:
    """Somebody's wish that a version answers: `despite` is the reason why golden sets are not to be heeded, or empty.

    Questions may be named for the collections in `readable` only.
    """

    principal: Principal
    despite: str
    readable: Collection[str]
    gate: GoldenGate
    audit: AuditLog

    def __call__(self, connection: Connection, version: ModelVersion) -> None:
        """Called inside the write that lets a language model answer. Raises `GoldenObjection` where no reason is given."""
        try:
            self.gate.require(connection, version, self.readable)
        except GoldenObjection as objection:
            if not self.despite:
                raise
            self.override(connection, version, objection)

    def override(self, connection: Connection, version: ModelVersion, objection: GoldenObjection) -> None:
        """Record that the version answers whatever this objection says, and why."""
        event = AuditEvent(
            EventName.GOLDEN_OVERRIDDEN,
            self.principal,
            resources=(ResourceRef("model", version.id),),
            facts={"against": objection.stable_code},
            sealed={"reason": self.despite},
        )
        self.audit.append(connection, event)


class Heeding:
    """Stands around the write that lets a version answer."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, gate: GoldenGate) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._gate = gate

    @contextmanager
    def before(self, principal: Principal, act: EventName, version_id: str, despite: str) -> Iterator[Heed]:
        """Gives what must be heeded inside the write; it raises `GoldenObjection` where no reason is given in `despite`.

        The objection is recorded as a failure of `act`, after the write was undone. Raises `Denied` for a reason of somebody
        who may not override, and `InvalidInput` (`golden.reason`) for one that is too long to be kept whole.
        """
        if despite:
            self._access.require(principal, Action.GOLDEN_OVERRIDE, APPLIANCE)
        if len(despite) > _LONGEST_REASON:
            raise InvalidInput(f"A reason has at most {_LONGEST_REASON} characters.", code="golden.reason")
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids
        try:
            yield Heed(principal, despite, readable, self._gate, self._audit)
        except GoldenObjection as objection:
            with self._database.write() as connection:
                about = (ResourceRef("model", version_id),)
                facts: dict[str, str | int] = {"reason": objection.stable_code}
                self._audit.append(connection, AuditEvent(act, principal, resources=about, outcome=Outcome.FAILURE, facts=facts))
            raise

"""What golden sets say is heeded before a version answers anybody, unless an administrator says why not. Both are audited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

Heed = Callable[[Connection, ModelVersion], None]

_LONGEST_REASON = 1_000


class Heeding:
    """Stands around the write that lets a version answer."""

    def __init__(self, database: Database, access: Access, audit: AuditLog, gate: GoldenGate) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._gate = gate

    @contextmanager
    def before(self, principal: Principal, act: EventName, version_id: str, despite: str) -> Iterator[Heed]:
        """Gives what must be called inside the write; it raises `GoldenObjection` where no reason is given in `despite`.

        The objection is recorded as a failure of `act`, after the write was undone. Raises `Denied` for a reason of somebody
        who may not override, and `InvalidInput` (`golden.reason`) for one that is too long to be kept whole.
        """
        if despite:
            self._access.require(principal, Action.GOLDEN_OVERRIDE, APPLIANCE)
        if len(despite) > _LONGEST_REASON:
            raise InvalidInput(f"A reason has at most {_LONGEST_REASON} characters.", code="golden.reason")
        readable = self._access.scope(principal, Action.DOCUMENT_READ).collection_ids

        def heed(connection: Connection, version: ModelVersion) -> None:
            try:
                self._gate.require(connection, version, readable)
            except GoldenObjection as objection:
                if not despite:
                    raise
                self._override(connection, principal, version, objection, despite)

        try:
            yield heed
        except GoldenObjection as objection:
            with self._database.write() as connection:
                about = (ResourceRef("model", version_id),)
                facts: dict[str, str | int] = {"reason": objection.stable_code}
                self._audit.append(connection, AuditEvent(act, principal, resources=about, outcome=Outcome.FAILURE, facts=facts))
            raise

    def _override(
        self, connection: Connection, principal: Principal, version: ModelVersion, objection: GoldenObjection, despite: str
    ) -> None:
        event = AuditEvent(
            EventName.GOLDEN_OVERRIDDEN,
            principal,
            resources=(ResourceRef("model", version.id),),
            facts={"against": objection.stable_code},
            sealed={"reason": despite},
        )
        self._audit.append(connection, event)
